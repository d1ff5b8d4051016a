package print

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// middles are the texts with their middles cut out, in at most width cells. Those that
// would be alike are cut where they begin to differ: "gpu…SXM5-80GB…", "gpu…PCIE-80GB…".
func middles(texts []string, width int) map[string]string {
	cut, alike := map[string]string{}, map[string][]string{}
	for _, text := range texts {
		if _, known := cut[text]; known {
			continue
		}
		cut[text] = TruncateMiddle(text, width)
		alike[cut[text]] = append(alike[cut[text]], text)
	}
	for _, group := range alike {
		if len(group) > 1 {
			tellApart(cut, group, width)
		}
	}
	return cut
}

// tellApart cuts texts, which are too long and begin alike, where they begin to differ;
// where even that is alike, it numbers them.
func tellApart(cut map[string]string, texts []string, width int) {
	same := samePrefix(texts)
	seen := map[string]int{}
	for _, text := range texts {
		head := Truncate(text[:same], width/4+1)
		if !strings.HasSuffix(head, ellipsis) && same > len(head) {
			head += ellipsis
		}
		cut[text] = head + Truncate(text[same:], width-Width(head))
		if seen[cut[text]]++; seen[cut[text]] > 1 {
			number := "~" + strconv.Itoa(seen[cut[text]])
			cut[text] = TruncateMiddle(cut[text], width-Width(number)) + number
		}
	}
}

// samePrefix is the length in bytes of what all texts begin with, whole letters only.
func samePrefix(texts []string) int {
	first := texts[0]
	for i, letter := range first {
		end := i + utf8.RuneLen(letter)
		for _, text := range texts[1:] {
			if !strings.HasPrefix(text, first[:end]) {
				return i
			}
		}
	}
	return len(first)
}
