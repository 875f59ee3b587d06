// Command tasks makes short tasks in closed loops: each worker declares a task at the issuer over mutual TLS, calls a tool through Envoy some times,
// each time on another path, and completes the task, on connections of its own that it keeps. Without an issuer it takes tokens of a file in turn and
// only calls. It prints the numbers of a run as one line of JSON.
package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

var (
	envoy    = flag.String("envoy", "", "URL of Envoy")
	host     = flag.String("host", "", "host of the tool")
	caller   = flag.String("xfcc", "", "the x-forwarded-client-cert header")
	prefix   = flag.String("prefix", "", "beginning of the path of each call; a number follows")
	calls    = flag.Int("calls", 3, "calls of a task")
	issuer   = flag.String("issuer", "", "URL of the issuer; without it tokens come from a file")
	intent   = flag.String("intent", "", "body of the token request")
	identity = flag.String("identity", "", "file with certificate and key of the client, in PEM")
	bundle   = flag.String("bundle", "", "file with the certificates that the issuer is trusted by, in PEM")
	tokens   = flag.String("tokens", "", "file with a token on each line")
	workers  = flag.Int("workers", 1, "tasks at a time")
	duration = flag.Duration("duration", time.Second, "how long")
)

// stages of a task; their order is that of the printed numbers.
const (
	declaring = iota
	calling
	callingAgain
	ending
	whole
	stages
)

var names = [stages]string{"declare", "first", "again", "end", "task"}

// issued is what a task needs of the answer to a token request.
type issued struct {
	Token string `json:"access_token"`
	Task  string `json:"txn"`
}

type worker struct {
	issuing, calling http.Client
	took             [stages][]time.Duration
	failed           int
	problem          error
}

var numbered atomic.Int64

// task makes one whole task.
func (w *worker) task(token func() issued) error {
	began := time.Now()
	with := issued{}
	if *issuer == "" {
		with = token()
	} else if err := w.declare(&with); err != nil {
		return err
	}
	for call := range *calls {
		stage := calling
		if call > 0 {
			stage = callingAgain
		}
		if err := w.call(stage, with.Token); err != nil {
			return err
		}
	}
	if *issuer != "" {
		if err := w.timed(ending, func() error {
			_, err := answer(&w.issuing, http.MethodPost, *issuer+"/tasks/"+with.Task+"/complete", "", nil)
			return err
		}); err != nil {
			return err
		}
	}
	w.took[whole] = append(w.took[whole], time.Since(began))
	return nil
}

func (w *worker) timed(stage int, of func() error) error {
	began := time.Now()
	if err := of(); err != nil {
		return err
	}
	w.took[stage] = append(w.took[stage], time.Since(began))
	return nil
}

func (w *worker) declare(with *issued) error {
	return w.timed(declaring, func() error {
		headers := map[string]string{"content-type": "application/x-www-form-urlencoded"}
		text, err := answer(&w.issuing, http.MethodPost, *issuer+"/oauth/token", *intent, headers)
		if err != nil {
			return err
		}
		return json.Unmarshal(text, with)
	})
}

func (w *worker) call(stage int, token string) error {
	headers := map[string]string{"host": *host, "authorization": "Bearer " + token, "x-forwarded-client-cert": *caller}
	path := fmt.Sprintf("%s%s%d", *envoy, *prefix, numbered.Add(1))
	return w.timed(stage, func() error {
		_, err := answer(&w.calling, http.MethodGet, path, "", headers)
		return err
	})
}

func answer(client *http.Client, method, url, body string, headers map[string]string) ([]byte, error) {
	request, err := http.NewRequest(method, url, bytes.NewReader([]byte(body)))
	if err != nil {
		return nil, err
	}
	for name, value := range headers {
		if name == "host" {
			request.Host = value
		} else {
			request.Header.Set(name, value)
		}
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s %s: %d %.300s", method, request.URL.Path, response.StatusCode, text)
	}
	return text, err
}

func newWorker() (*worker, error) {
	made := &worker{calling: http.Client{Transport: &http.Transport{DisableCompression: true}, Timeout: 10 * time.Second}}
	if *issuer == "" {
		return made, nil
	}
	certificate, err := tls.LoadX509KeyPair(*identity, *identity)
	if err != nil {
		return nil, err
	}
	trusted, err := os.ReadFile(*bundle)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(trusted)
	config := &tls.Config{Certificates: []tls.Certificate{certificate}, RootCAs: roots, ServerName: "localhost"}
	made.issuing = http.Client{
		Transport: &http.Transport{TLSClientConfig: config, DisableCompression: true},
		Timeout:   10 * time.Second,
	}
	return made, nil
}

// tokensInTurn gives the tokens of the file, from the first again after the last.
func tokensInTurn() (func() issued, error) {
	if *tokens == "" {
		return func() issued { return issued{} }, nil
	}
	text, err := os.ReadFile(*tokens)
	if err != nil {
		return nil, err
	}
	lines := strings.Fields(string(text))
	var next atomic.Int64
	return func() issued { return issued{Token: lines[int(next.Add(1)-1)%len(lines)]} }, nil
}

func main() {
	flag.Parse()
	token, err := tokensInTurn()
	if err != nil {
		log.Fatal(err)
	}
	all := make([]*worker, *workers)
	for index := range all {
		if all[index], err = newWorker(); err != nil {
			log.Fatal(err)
		}
	}
	began := time.Now()
	var running sync.WaitGroup
	for _, each := range all {
		running.Go(func() {
			for time.Since(began) < *duration {
				if err := each.task(token); err != nil {
					each.failed, each.problem = each.failed+1, err
				}
			}
		})
	}
	running.Wait()
	printNumbers(all, time.Since(began))
}

func printNumbers(all []*worker, took time.Duration) {
	numbers := map[string]any{"seconds": took.Seconds()}
	for stage, name := range names {
		values := []time.Duration{}
		for _, each := range all {
			values = append(values, each.took[stage]...)
		}
		slices.Sort(values)
		numbers[name] = map[string]any{
			"count": len(values), "p50Ms": at(values, 0.5), "p99Ms": at(values, 0.99), "p999Ms": at(values, 0.999),
		}
	}
	failed := 0
	for _, each := range all {
		failed += each.failed
		if each.problem != nil {
			numbers["problem"] = each.problem.Error()
		}
	}
	numbers["failed"] = failed
	text, err := json.Marshal(numbers)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(string(text))
}

// at is the value that a share of the sorted values does not exceed, in milliseconds; 0 of none.
func at(sorted []time.Duration, share float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(len(sorted)-1, int(float64(len(sorted))*share))].Seconds() * 1_000
}
