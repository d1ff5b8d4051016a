// Package print draws human output: tables, paragraphs, bars and colour.
//
// It decides nothing: it is handed texts and draws them. Four rules hold for
// every function of it.
//
//   - Widths are counted in terminal cells, so that wide (CJK) and combining
//     characters neither break a column nor are cut in half.
//   - A string from the cluster passes Escape before it is measured: a pod's
//     message cannot move the cursor, recolour the screen or forge a line.
//   - Colour is a [Theme], chosen once by the caller. The plain theme adds no
//     byte, so that a file or a pipe holds text only.
//   - Tables look like kubectl's: titles without blanks, three blanks between
//     columns, no border, nothing after a row's last character.
//
// This is the only package that imports lipgloss.
package print
