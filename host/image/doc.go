// Package image is the role that keeps images: what a server's disk starts
// from, and the properties that describe it. It speaks Glance's API v2 (25.1.0)
// as far as the stock client needs it.
package image
