package scan

// Workspace is workspace.
var Workspace = workspace
