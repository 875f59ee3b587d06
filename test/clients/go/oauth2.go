// x/oauth2: a token by scope with the style of authentication that it finds out, and its renewal when it has expired.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"os"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func main() {
	env := os.Getenv
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(must(os.ReadFile(env("BUNDLE"))))
	svid := must(tls.LoadX509KeyPair(env("SVID_CERT"), env("SVID_KEY")))
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{svid}}}
	ctx := context.WithValue(context.Background(), oauth2.HTTPClient, &http.Client{Transport: transport})

	declare := clientcredentials.Config{
		ClientID:       env("AGENT"),
		TokenURL:       env("ISSUER") + "/oauth/token",
		Scopes:         []string{"payments.read"},
		EndpointParams: url.Values{"resource": {env("RESOURCE")}},
	}
	first := must(declare.Token(ctx))

	expired := *first
	expired.Expiry = time.Now()
	renewing := oauth2.Config{ClientID: env("AGENT"), Endpoint: oauth2.Endpoint{TokenURL: declare.TokenURL}}
	source := renewing.TokenSource(ctx, &expired)
	client := oauth2.NewClient(ctx, source)
	var statuses []int
	for range 2 {
		request := must(http.NewRequest("GET", env("ENVOY")+"/v1/payments/p-1", nil))
		request.Host = env("HOST_NAME")
		response := must(client.Do(request))
		response.Body.Close()
		statuses = append(statuses, response.StatusCode)
	}
	renewed := must(source.Token())

	declare.ClientSecret = "s3cret"
	var refusal *oauth2.RetrieveError
	_, err := declare.Token(ctx)
	secret := "accepted"
	if errors.As(err, &refusal) {
		secret = refusal.ErrorCode
	}
	json.NewEncoder(os.Stdout).Encode(map[string]any{
		"first":    map[string]any{"txn": first.Extra("txn")},
		"renewed":  map[string]any{"txn": renewed.Extra("txn"), "same": renewed.AccessToken == first.AccessToken},
		"statuses": statuses,
		"secret":   secret,
	})
}
