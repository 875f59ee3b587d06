// The service in Go of deploy/guide/start/agent-service.md, which has the same text.
package main

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// must panics on an error, at which net/http ends the one request alone.
func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func main() {
	client := mcp.NewClient(&mcp.Implementation{Name: "service", Version: "1.0.0"}, nil)
	http.HandleFunc("GET /files/{name}", func(w http.ResponseWriter, r *http.Request) {
		task := map[string]any{}
		must(0, json.Unmarshal(must(io.ReadAll(must(http.Post(os.Getenv("REMIT_TASKS"), "application/json", strings.NewReader(`{"intent": "tidy.yaml"}`))).Body)), &task))
		endTask := must(http.NewRequest("DELETE", task["end"].(string), nil))
		defer func() { must(http.DefaultClient.Do(endTask)).Body.Close() }()
		tools := must(client.Connect(r.Context(), &mcp.StreamableClientTransport{Endpoint: task["forward"].(map[string]any)["tools"].(string)}, nil))
		defer tools.Close()
		read := &mcp.CallToolParams{Name: "read_file", Arguments: map[string]any{"name": r.PathValue("name")}}
		result := must(tools.CallTool(r.Context(), read))
		must(0, json.NewEncoder(w).Encode(map[string]any{"text": result.Content[0].(*mcp.TextContent).Text}))
	})
	panic(http.ListenAndServe("127.0.0.1:"+os.Getenv("PORT"), nil))
}
