// Prints, for each message that is named on standard input, its fields: `MESSAGE FIELD FIELD:TYPE FIELD=TYPE`, where TYPE is the message of
// the field, or of the values of its map.
package main

import (
	"bufio"
	"fmt"
	"os"
	"sort"
	"strings"

	_ "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_authz/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/quic/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

func main() {
	names := bufio.NewScanner(os.Stdin)
	for names.Scan() {
		found, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(names.Text()))
		message, is := found.(protoreflect.MessageDescriptor)
		if err != nil || !is {
			fmt.Fprintln(os.Stderr, names.Text(), "is no message of this version of Envoy")
			os.Exit(1)
		}
		fmt.Println(names.Text(), strings.Join(fieldsOf(message), " "))
	}
}

func fieldsOf(message protoreflect.MessageDescriptor) []string {
	fields := make([]string, 0, message.Fields().Len())
	for i := range message.Fields().Len() {
		field := message.Fields().Get(i)
		name := string(field.Name())
		switch {
		case field.IsMap() && field.MapValue().Message() != nil:
			name += "=" + string(field.MapValue().Message().FullName())
		case !field.IsMap() && field.Message() != nil:
			name += ":" + string(field.Message().FullName())
		}
		fields = append(fields, name)
	}
	sort.Strings(fields)
	return fields
}
