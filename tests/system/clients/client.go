// Go's net/http: `go run client.go http://.../actors/demo/a1`.
package main

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
)

type told struct {
	Method string `json:"method"`
	Size   int    `json:"size"`
	Sha256 string `json:"sha256"`
}

func must(ok bool, what string) {
	if !ok {
		fmt.Fprintln(os.Stderr, "wrong:", what)
		os.Exit(1)
	}
}

func ask(method, url string, body io.Reader) []byte {
	request, err := http.NewRequest(method, url, body)
	must(err == nil, "request")
	answer, err := http.DefaultClient.Do(request)
	must(err == nil, fmt.Sprint(method, " ", url, ": ", err))
	defer answer.Body.Close()
	must(answer.StatusCode == 200, fmt.Sprint(method, " ", url, ": ", answer.Status))
	data, err := io.ReadAll(answer.Body)
	must(err == nil, fmt.Sprint("body: ", err))
	return data
}

func echo(method, base string, body io.Reader) told {
	var answer told
	must(json.Unmarshal(ask(method, base+"/echo", body), &answer) == nil, "json")
	must(answer.Method == method, "method")
	return answer
}

func main() {
	base := os.Args[1]
	for _, method := range []string{"GET", "DELETE", "OPTIONS", "PROPFIND"} {
		echo(method, base, nil)
	}
	must(len(ask("HEAD", base+"/echo", nil)) == 0, "HEAD")
	data := make([]byte, 3_000_000)
	rand.Read(data)
	sum := sha256.Sum256(data)
	want := hex.EncodeToString(sum[:])
	for _, method := range []string{"POST", "PUT"} {
		must(echo(method, base, bytes.NewReader(data)).Sha256 == want, "body")
		// A reader whose length is not known goes in chunks.
		must(echo(method, base, io.MultiReader(bytes.NewReader(data))).Sha256 == want, "chunked body")
	}
	must(len(ask("GET", base+"/big", nil)) == 8_000_000, "big")
	must(string(ask("GET", base+"/sse", nil)) == "data: 0\n\ndata: 1\n\ndata: 2\n\n", "sse")
	for i := 0; i < 50; i++ {
		echo("GET", base, nil)
	}
	for i := 0; i < 5; i++ {
		must(string(ask("GET", base+"/close", nil)) == "bye", "close")
	}
	var group sync.WaitGroup
	for i := 0; i < 50; i++ {
		group.Add(1)
		go func() {
			defer group.Done()
			must(echo("POST", base, bytes.NewReader(data[:1000])).Size == 1000, "at once")
		}()
	}
	group.Wait()
}
