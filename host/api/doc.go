// Package api is the plumbing that every REST role shares: routes in one list,
// the authentication step, microversions, request ids, error bodies in each
// service's dialect, strict decoding, paging, limits and timeouts. It knows no
// resource and no rule.
//
// A role builds a [Service] from its routes. A [Handler] decodes with
// [Request.Object], decides through a [Writer], and returns a [Response] or an
// error; the service turns errors into the dialect's answer, once.
package api
