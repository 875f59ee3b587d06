// Command opa is an ext_authz server on the library of Open Policy Agent. It makes the input that OPA's own plugin for
// Envoy makes, and asks the policy beside it. Nothing is logged, traced or counted.
package main

import (
	"context"
	_ "embed"
	"flag"
	"fmt"
	"log"
	"net"
	"net/url"
	"os"
	"strings"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
	"github.com/open-policy-agent/opa/v1/topdown/cache"
	"github.com/open-policy-agent/opa/v1/util"
	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protojson"
)

//go:embed policy.rego
var policy string

type server struct {
	authv3.UnimplementedAuthorizationServer
	query rego.PreparedEvalQuery
}

var (
	allowed = &authv3.CheckResponse{
		Status:       &status.Status{Code: int32(code.Code_OK)},
		HttpResponse: &authv3.CheckResponse_OkResponse{OkResponse: &authv3.OkHttpResponse{}},
	}
	denied = &authv3.CheckResponse{
		Status: &status.Status{Code: int32(code.Code_PERMISSION_DENIED)},
		HttpResponse: &authv3.CheckResponse_DeniedResponse{
			DeniedResponse: &authv3.DeniedHttpResponse{Status: &typev3.HttpStatus{Code: typev3.StatusCode_Forbidden}},
		},
	}
)

func (s server) Check(ctx context.Context, request *authv3.CheckRequest) (*authv3.CheckResponse, error) {
	input, err := inputFrom(request)
	if err != nil {
		return nil, err
	}
	results, err := s.query.Eval(ctx, rego.EvalParsedInput(input))
	if err != nil {
		return nil, err
	}
	if results.Allowed() {
		return allowed, nil
	}
	return denied, nil
}

// inputFrom gives the request as JSON, with the path and the query taken apart, as OPA's plugin for Envoy does.
func inputFrom(request *authv3.CheckRequest) (ast.Value, error) {
	text, err := protojson.Marshal(request)
	if err != nil {
		return nil, err
	}
	var input map[string]any
	if err := util.UnmarshalJSON(text, &input); err != nil {
		return nil, err
	}
	target, err := url.Parse(request.GetAttributes().GetRequest().GetHttp().GetPath())
	if err != nil {
		return nil, err
	}
	path := []any{}
	for _, segment := range strings.Split(strings.TrimLeft(target.Path, "/"), "/") {
		path = append(path, segment)
	}
	query := map[string]any{}
	for name, values := range target.Query() {
		all := []any{}
		for _, value := range values {
			all = append(all, value)
		}
		query[name] = all
	}
	input["parsed_path"], input["parsed_query"], input["parsed_body"], input["truncated_body"] = path, query, nil, false
	input["version"] = map[string]any{"encoding": "protojson", "ext_authz": "v3"}
	return ast.InterfaceToValue(input)
}

// cachingFor gives what OPA has by default, which remembers keys and no token, or with a memory of so many tokens.
func cachingFor(tokens int) (*cache.Config, error) {
	if tokens == 0 {
		return cache.ParseCachingConfig(nil)
	}
	text := `{"inter_query_builtin_value_cache": {"named": {"io_jwt": {"max_num_entries": %d}}}}`
	return cache.ParseCachingConfig(fmt.Appendf(nil, text, tokens))
}

func main() {
	socket := flag.String("socket", "", "where to listen")
	jwks := flag.String("jwks", "", "file with the keys of the issuer")
	issuer := flag.String("issuer", "", "the issuer")
	audience := flag.String("audience", "", "the audience")
	tokens := flag.Int("tokens", 0, "how many verified tokens are remembered; none by default, as in OPA")
	flag.Parse()
	keys, err := os.ReadFile(*jwks)
	if err != nil {
		log.Fatal(err)
	}
	caching, err := cachingFor(*tokens)
	if err != nil {
		log.Fatal(err)
	}
	data := map[string]any{"jwks": string(keys), "issuer": *issuer, "audience": *audience}
	query, err := rego.New(
		rego.Query("data.envoy.authz.allow"),
		rego.Module("policy.rego", policy),
		rego.Store(inmem.NewFromObject(data)),
		rego.InterQueryBuiltinValueCache(cache.NewInterQueryValueCache(context.Background(), caching)),
	).PrepareForEval(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	listener, err := net.Listen("unix", *socket)
	if err != nil {
		log.Fatal(err)
	}
	serving := grpc.NewServer()
	authv3.RegisterAuthorizationServer(serving, server{query: query})
	fmt.Println("ready")
	log.Fatal(serving.Serve(listener))
}
