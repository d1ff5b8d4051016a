# reap.sh DIR [guard]: kills every process started from inside DIR, and removes DIR.
#
# As a guard it first waits for its standard input to end, that is, for the lab's owner to close the lab or to
# die in whatever way. A line on its standard input tells it to leave the lab alone.
dir=$1

if [ "${2-}" = guard ]; then
	trap '' INT TERM HUP
	if read -r _; then exit 0; fi
fi

# A process of the lab has a path in DIR as argv[0]; in /proc, arguments end in NUL, so a file is one line.
processes() {
	pattern=$(printf '%s' "$dir" | sed 's/[][\.*^$]/\\&/g')
	grep -als "^$pattern/" /proc/[0-9]*/cmdline | cut -d/ -f3
}

# Twice over: kwokctl may have started one more before it was killed itself.
while pids=$(processes) && [ -n "$pids" ]; do
	kill -9 $pids 2>/dev/null
	sleep 0.05
done
rm -rf "$dir"
