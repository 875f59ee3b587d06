// Command registry is a registry of images and charts for tests, kept in memory.
//
//	registry serve ADDRESS CERTIFICATE HOST..   serves HTTPS for these names; CERTIFICATE is the file it writes for clients to trust
//	registry push LAYOUT REFERENCE              pushes the one index or image of an OCI layout; SSL_CERT_FILE says whom it trusts
package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log"
	"math/big"
	"net/http"
	"os"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// certificateFor makes a certificate of its own authority.
func certificateFor(hosts []string) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "registry of tests"}, DNSNames: hosts,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(0, 1, 0), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}

func serve(address, file string, hosts []string) error {
	certificate, err := certificateFor(hosts)
	if err != nil {
		return err
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Certificate[0]})
	if err := os.WriteFile(file, text, 0o644); err != nil {
		return err
	}
	server := &http.Server{
		Addr: address, Handler: registry.New(), ReadHeaderTimeout: time.Minute,
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{certificate}},
		// No HTTP/2: its handlers lock while they read a body, so uploads that share the flow control of a connection wait for each other for ever.
		TLSNextProto: map[string]func(*http.Server, *tls.Conn, http.Handler){},
	}
	return server.ListenAndServeTLS("", "")
}

func push(folder, at string) error {
	reference, err := name.ParseReference(at)
	if err != nil {
		return err
	}
	index, err := layout.ImageIndexFromPath(folder)
	if err != nil {
		return err
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		return err
	}
	if len(manifest.Manifests) != 1 {
		log.Fatalf("%s has %d entries, not one", folder, len(manifest.Manifests))
	}
	entry := manifest.Manifests[0]
	if entry.MediaType.IsIndex() {
		images, err := index.ImageIndex(entry.Digest)
		if err != nil {
			return err
		}
		return remote.WriteIndex(reference, images)
	}
	image, err := index.Image(entry.Digest)
	if err != nil {
		return err
	}
	return remote.Write(reference, image)
}

func main() {
	args := os.Args[1:]
	switch {
	case len(args) > 3 && args[0] == "serve":
		log.Fatal(serve(args[1], args[2], args[3:]))
	case len(args) == 3 && args[0] == "push":
		if err := push(args[1], args[2]); err != nil {
			log.Fatal(err)
		}
	default:
		log.Fatal("usage: registry serve ADDRESS CERTIFICATE HOST.. | registry push LAYOUT REFERENCE")
	}
}
