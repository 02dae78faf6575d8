package system

// What Windows' names and reparse points mean, for tests on any system.
var (
	LinkTarget          = linkTarget
	Below               = below
	CheckWindowsName    = checkWindowsName
	CheckNewWindowsName = checkNewWindowsName
)
