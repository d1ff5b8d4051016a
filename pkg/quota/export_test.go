package quota

// What the tests outside of the package look at by itself.
var (
	ParseRefill      = parseRefill
	ValidateKey      = validateKey
	ValidateQuantity = validateQuantity
	ParentOf         = parentOf
	SizeOf           = sizeOf
)
