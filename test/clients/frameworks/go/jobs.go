// The tasks of a service, each with a session of the Go SDK, all at once. JOBS: [{"job", "url", "calls": [{"tool", "args"}]}]; prints a line of
// JSON for each, with what each call was answered.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"sync"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

type job struct {
	Job   string `json:"job"`
	URL   string `json:"url"`
	Calls []struct {
		Tool string         `json:"tool"`
		Args map[string]any `json:"args"`
	} `json:"calls"`
}

type end struct {
	Job    string   `json:"job"`
	Handed []string `json:"handed"`
	Error  string   `json:"error,omitempty"`
}

func ended(client *mcp.Client, job job) end {
	end := end{Job: job.Job, Handed: []string{}}
	session, err := client.Connect(context.Background(), &mcp.StreamableClientTransport{Endpoint: job.URL}, nil)
	if err != nil {
		end.Error = err.Error()
		return end
	}
	defer session.Close()
	for _, call := range job.Calls {
		result, err := session.CallTool(context.Background(), &mcp.CallToolParams{Name: call.Tool, Arguments: call.Args})
		if err != nil {
			end.Handed = append(end.Handed, err.Error())
			continue
		}
		texts := []string{}
		for _, content := range result.Content {
			texts = append(texts, content.(*mcp.TextContent).Text)
		}
		end.Handed = append(end.Handed, strings.Join(texts, "\n"))
	}
	return end
}

func main() {
	jobs := []job{}
	if err := json.Unmarshal([]byte(os.Getenv("JOBS")), &jobs); err != nil {
		panic(err)
	}
	client := mcp.NewClient(&mcp.Implementation{Name: "service", Version: "1.0.0"}, nil)
	var all sync.WaitGroup
	for _, job := range jobs {
		all.Go(func() {
			line, _ := json.Marshal(ended(client, job))
			fmt.Println(string(line))
		})
	}
	all.Wait()
}
