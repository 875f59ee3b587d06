// Command noop is an ext_authz server that does nothing: it allows every call.
package main

import (
	"context"
	"fmt"
	"log"
	"net"
	"os"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
)

type server struct {
	authv3.UnimplementedAuthorizationServer
}

var allowed = &authv3.CheckResponse{HttpResponse: &authv3.CheckResponse_OkResponse{OkResponse: &authv3.OkHttpResponse{}}}

func (server) Check(context.Context, *authv3.CheckRequest) (*authv3.CheckResponse, error) {
	return allowed, nil
}

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: noop SOCKET")
	}
	listener, err := net.Listen("unix", os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	serving := grpc.NewServer()
	authv3.RegisterAuthorizationServer(serving, server{})
	fmt.Println("ready")
	log.Fatal(serving.Serve(listener))
}
