// Package integration holds the black-box tests: scripts in testdata that use the built binary as root.
package integration
