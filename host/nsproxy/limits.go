package nsproxy

import "time"

// Limits bound what instances can take. The defaults are far above what a boot
// needs.
type Limits struct {
	Connections int // of all listeners
	PerListener int // connections of one router or network
	PerClient   int // connections of one address there
	Requests    int // under way at a time, of all listeners
	PerWay      int // requests under way of one router or network
	// ClientRequests is how many of them one address may have; more wait for
	// WaitTime at most.
	ClientRequests int
	WaitTime       time.Duration
	Header         int // bytes of a request's head
	Body           int64
	Answer         int64
	HeadTime       time.Duration // to send the head
	ReadTime       time.Duration // to send head and body
	WriteTime      time.Duration // from the head's end to the answer's end
	IdleTime       time.Duration // between requests
	AgentTime      time.Duration // for the agent to answer
	LogRate        float64       // lines per second of one router or network
	LogBurst       int
}

// DefaultLimits are those of [Run].
func DefaultLimits() Limits {
	return Limits{
		Connections: 8192, PerListener: 1024, PerClient: 32,
		Requests: 512, PerWay: 64, ClientRequests: 8, WaitTime: 5 * time.Second,
		Header: 8 << 10, Body: 16 << 10, Answer: 16 << 20,
		HeadTime: 5 * time.Second, ReadTime: 10 * time.Second, WriteTime: 40 * time.Second,
		IdleTime: 30 * time.Second, AgentTime: 30 * time.Second,
		LogRate: 20, LogBurst: 200,
	}
}
