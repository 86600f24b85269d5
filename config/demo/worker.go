// A worker for Deskhand in Go: the standard library only. Copy it, and put your own kinds into handlers.
//
//	DESKHAND_URL=http://127.0.0.1:8480 DESKHAND_TOKEN=dkh_... go run worker.go images 4
//
// The protocol is told in docs/workers.md: register, beat, claim, run, settle, leave.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Job is what a claim gives.
type Job struct {
	ID             string            `json:"id"`
	Kind           string            `json:"kind"`
	Args           json.RawMessage   `json:"args"`
	Attempt        int               `json:"attempt"`
	Lease          string            `json:"lease"`
	TimeoutMs      int64             `json:"timeout_ms"`
	Headers        map[string]string `json:"headers"`
	IdempotencyKey string            `json:"idempotency_key"`
}

// End is what is settled.
type End struct {
	ID      string `json:"id"`
	Lease   string `json:"lease"`
	Outcome string `json:"outcome"`
	Result  any    `json:"result,omitempty"`
	Error   string `json:"error,omitempty"`
}

// ErrFail says that a job cannot succeed.
var ErrFail = errors.New("cannot succeed")

// errLost says that the server took this worker for dead.
var errLost = errors.New("the worker is taken for dead")

// handlers is what this worker can do. The context ends when the job is cancelled, taken back, or out of time.
var handlers = map[string]func(context.Context, Job) (any, error){
	"demo.echo": func(_ context.Context, job Job) (any, error) { return job.Args, nil },
}

type worker struct {
	url, token, id string
	queues         []string
	places         int

	mu   sync.Mutex
	jobs map[string]context.CancelFunc // until their end is settled
}

func (w *worker) request(ctx context.Context, method, path string, body, into any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, method, w.url+path, bytes.NewReader(text))
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+w.token)
	request.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	told, err := io.ReadAll(answer.Body)
	switch {
	case err != nil:
		return err
	case answer.StatusCode == http.StatusNotFound || answer.StatusCode == http.StatusConflict:
		return errLost
	case answer.StatusCode >= 300:
		return fmt.Errorf("%s %s: %s: %s", method, path, answer.Status, told)
	case into == nil:
		return nil
	}
	return json.Unmarshal(told, &struct {
		Data any `json:"data"`
	}{into})
}

func (w *worker) call(ctx context.Context, what string, body, into any) error {
	return w.request(ctx, "POST", "/api/v1/workers/"+w.id+"/"+what, body, into)
}

// beat says that this worker lives, and hears which jobs have to stop. It returns when the worker is lost.
func (w *worker) beat(ctx context.Context) {
	alive, pause := time.Now(), 3*time.Second
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		sent := time.Now()
		var told struct {
			Stop, Taken []string
			NextBeatMs  int64 `json:"next_beat_ms"`
		}
		once, done := context.WithTimeout(ctx, 5*time.Second)
		err := w.call(once, "beat", struct{}{}, &told)
		done()
		if errors.Is(err, errLost) || err != nil && time.Since(alive) > 12*time.Second {
			return // nobody may run a job that somebody else has by now
		}
		if err != nil {
			pause = time.Second
			continue
		}
		alive, pause = sent, time.Duration(told.NextBeatMs)*time.Millisecond
		w.mu.Lock()
		for _, id := range append(told.Stop, told.Taken...) {
			if stop := w.jobs[id]; stop != nil {
				stop()
			}
		}
		w.mu.Unlock()
	}
}

func run(ctx context.Context, job Job) (end End) {
	end = End{ID: job.ID, Lease: job.Lease}
	defer func() {
		if fault := recover(); fault != nil {
			end.Outcome, end.Error = "retry", fmt.Sprint("panicked: ", fault)
		}
	}()
	handler := handlers[job.Kind]
	if handler == nil {
		end.Outcome, end.Error = "fail", "this worker does not know "+job.Kind
		return end
	}
	result, err := handler(ctx, job)
	switch {
	case err == nil:
		end.Outcome, end.Result = "done", result
	case errors.Is(err, ErrFail):
		end.Outcome, end.Error = "fail", err.Error()
	case errors.Is(ctx.Err(), context.Canceled):
		end.Outcome = "hand_back"
	default:
		end.Outcome, end.Error = "retry", err.Error()
	}
	return end
}

// settle tells what has ended until nothing comes any more.
func (w *worker) settle(ctx context.Context, ends <-chan End) {
	for end := range ends {
		batch := []End{end}
		for len(batch) < 500 && len(ends) > 0 {
			batch = append(batch, <-ends)
		}
		for ctx.Err() == nil && len(batch) > 0 {
			var told []struct{ ID, Answer string }
			if err := w.call(ctx, "settle", map[string]any{"results": batch}, &told); err != nil {
				if errors.Is(err, errLost) {
					break
				}
				time.Sleep(500 * time.Millisecond)
				continue
			}
			var again []End
			w.mu.Lock()
			for n, answer := range told {
				if answer.Answer == "unanswered" {
					again = append(again, batch[n])
				} else {
					delete(w.jobs, answer.ID)
				}
			}
			w.mu.Unlock()
			batch = again
		}
	}
}

// live is one life: until the worker stops, or the server takes it for dead.
func (w *worker) live(stop context.Context) error {
	host, _ := os.Hostname()
	var told struct{ ID string }
	name := fmt.Sprintf("%s:%d", host, os.Getpid())
	body := map[string]any{"name": name, "queues": w.queues, "concurrency": w.places}
	if err := w.request(stop, "POST", "/api/v1/workers", body, &told); err != nil {
		return err
	}
	w.id, w.jobs = told.ID, map[string]context.CancelFunc{}
	log.Printf("worker %s serves %s", w.id, strings.Join(w.queues, ", "))
	life, lost := context.WithCancel(context.Background())
	defer lost()
	go func() { w.beat(life); lost() }()
	free, ends, settled := make(chan struct{}, w.places), make(chan End, 1000), make(chan struct{})
	go func() { w.settle(life, ends); close(settled) }()
	claiming, stopClaiming := context.WithCancel(stop)
	defer stopClaiming()
	context.AfterFunc(life, stopClaiming)

	var running sync.WaitGroup
	failed := false
	for claiming.Err() == nil {
		if len(free) == cap(free) {
			time.Sleep(20 * time.Millisecond)
			continue
		}
		asked := map[string]any{"max": min(cap(free)-len(free), 500), "wait_ms": 10_000}
		if failed { // the answer that did not arrive may have had jobs: the rest goes back
			known := []string{}
			w.mu.Lock()
			for id := range w.jobs {
				known = append(known, id)
			}
			w.mu.Unlock()
			asked["known"] = known
		}
		var jobs []Job
		// Not cut off by a stop: an answer that is under way would have jobs.
		err := w.call(life, "claim", asked, &jobs)
		if failed = err != nil; errors.Is(err, errLost) {
			break
		} else if failed {
			time.Sleep(time.Second)
			continue
		}
		for _, job := range jobs {
			ctx, cancel := context.WithTimeout(life, time.Duration(job.TimeoutMs)*time.Millisecond)
			w.mu.Lock()
			w.jobs[job.ID] = cancel
			w.mu.Unlock()
			free <- struct{}{}
			running.Add(1)
			go func() {
				defer running.Done()
				ends <- run(ctx, job)
				cancel()
				<-free
			}()
		}
	}
	running.Wait()
	close(ends)
	<-settled
	if life.Err() == nil {
		return w.request(context.Background(), "DELETE", "/api/v1/workers/"+w.id, nil, nil)
	}
	return errLost
}

func main() {
	if len(os.Args) != 3 {
		log.Fatal("usage: worker QUEUE,QUEUE CONCURRENCY")
	}
	places, err := strconv.Atoi(os.Args[2])
	if err != nil {
		log.Fatal(err)
	}
	url := strings.TrimSuffix(os.Getenv("DESKHAND_URL"), "/")
	if url == "" {
		url = "http://127.0.0.1:8480"
	}
	w := &worker{url: url, token: os.Getenv("DESKHAND_TOKEN"), queues: strings.Split(os.Args[1], ","), places: places}
	stop, done := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer done()
	for stop.Err() == nil {
		if err := w.live(stop); err != nil {
			log.Print(err)
			time.Sleep(2 * time.Second)
		}
	}
}
