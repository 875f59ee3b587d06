// Command sink takes whatever is sent to it over gRPC, such as spans over OTLP, and throws it away. It says where it
// listens; every answer is the empty message, which is a good one for every OTLP export.
package main

import (
	"fmt"
	"log"
	"net"

	"google.golang.org/grpc"
	"google.golang.org/grpc/mem"
)

// bytesCodec hands messages on as they are, so that nothing is spent on reading them.
type bytesCodec struct{}

func (bytesCodec) Marshal(any) (mem.BufferSlice, error) { return mem.BufferSlice{}, nil }
func (bytesCodec) Unmarshal(mem.BufferSlice, any) error { return nil }
func (bytesCodec) Name() string                         { return "bytes" }

func discard(_ any, stream grpc.ServerStream) error {
	if err := stream.RecvMsg(nil); err != nil {
		return err
	}
	return stream.SendMsg(nil)
}

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	serving := grpc.NewServer(grpc.ForceServerCodecV2(bytesCodec{}), grpc.UnknownServiceHandler(discard))
	fmt.Printf("ready on %d\n", listener.Addr().(*net.TCPAddr).Port)
	log.Fatal(serving.Serve(listener))
}
