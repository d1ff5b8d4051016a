package print

import "strings"

// The strokes of a tree, as tree(1) and lipgloss draw them.
const (
	treeBranch = "├── "
	treeLast   = "└── "
	treePass   = "│   "
	treeSpace  = "    "
)

// Branch is what stands before a node of a tree that is drawn in rows.
type Branch struct {
	// First stands before the node's own text, Rest before the further lines that
	// belong to it.
	First, Rest string
}

// Branches returns the branch of each node of a forest, given the nodes' depths
// in depth-first order: 0 for a root, and at most one more than the node before.
// The strokes leave the columns beside the tree to a Table.
func Branches(depths []int) []Branch {
	branches := make([]Branch, len(depths))
	var follows []bool // by depth, whether a sibling of the node, or of its ancestor there, comes later
	for i := len(depths) - 1; i >= 0; i-- {
		depth := depths[i]
		for len(follows) <= depth {
			follows = append(follows, false)
		}
		if depth > 0 {
			ancestors := strokes(follows[1:depth], treePass, treeSpace)
			branches[i].First = ancestors + strokes(follows[depth:depth+1], treeBranch, treeLast)
			branches[i].Rest = ancestors + strokes(follows[depth:depth+1], treePass, treeSpace)
		}
		if i+1 < len(depths) && depths[i+1] > depth {
			branches[i].Rest += treePass
		}
		follows[depth] = true
		follows = follows[:depth+1]
	}
	return branches
}

// narrow replaces the strokes of a tree by those of half the width.
var narrow = strings.NewReplacer(treeBranch, "├ ", treeLast, "└ ", treePass, "│ ", treeSpace, "  ")

// Narrow is the branch at half its width.
func (b Branch) Narrow() Branch {
	return Branch{First: narrow.Replace(b.First), Rest: narrow.Replace(b.Rest)}
}

// strokes is one stroke a depth: yes where something follows there, else no.
func strokes(follows []bool, yes, no string) string {
	var b strings.Builder
	for _, more := range follows {
		if more {
			b.WriteString(yes)
		} else {
			b.WriteString(no)
		}
	}
	return b.String()
}

// Stack draws parts of a whole as a bar of width cells, each part in its own
// fill and what is left in "░". A part that is above zero has at least one cell
// as long as there is room, and parts beyond the whole are cut.
func Stack(width int, parts ...Part) string {
	var b strings.Builder
	room, sum, drawn := width, 0.0, 0
	for _, part := range parts {
		if part.Share <= 0 {
			continue
		}
		sum += part.Share
		end := int(sum*float64(width) + 0.5)
		cells := min(max(end-drawn, 1), room)
		b.WriteString(strings.Repeat(part.Fill, cells))
		drawn += cells
		room -= cells
	}
	return b.String() + strings.Repeat("░", room)
}

// Part is one part of a Stack.
type Part struct {
	// Share is the part's size, 1 being the whole.
	Share float64
	// Fill is the character, one cell wide, that it is drawn in.
	Fill string
}
