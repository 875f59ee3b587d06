package envoy.authz

# What a gateway with OPA does for a task token: its signature, issuer, audience and times, and the scope that the call needs.

default allow := false

allow if {
	[scheme, token] := split(input.attributes.request.http.headers.authorization, " ")
	lower(scheme) == "bearer"
	[valid, _, claims] := io.jwt.decode_verify(token, {
		"cert": data.jwks,
		"alg": "ES256",
		"iss": data.issuer,
		"aud": data.audience,
	})
	valid
	needed in split(claims.scope, " ")
}

needed := "files.read" if {
	input.attributes.request.http.method == "GET"
	input.parsed_path = ["v1", "files", _]
}
