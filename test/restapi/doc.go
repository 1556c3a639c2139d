// Package restapi asks whether the four API roles together are an OpenStack to
// their clients: stories told as requests and answers, the calls of the stock
// client replayed against what a real Zed answered, and gophercloud.
package restapi
