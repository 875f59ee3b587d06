import { execFile } from 'node:child_process';
import { resolve } from 'node:path';
import { promisify } from 'node:util';
import { beforeAll, expect, it } from '@jest/globals';
import { both, describeWith, envoyPart, iptablesPart, otherUserPart } from '../../../parts.ts';

interface Outcome {
  readonly answer: { readonly status: number; readonly text: string } | number;
  readonly arrived: readonly { readonly over: string; readonly authorization?: string }[];
}

const WITH_TOKEN = { over: 'tls', authorization: 'Bearer the-token' };

// Issue 39, point 4: a token never leaves the pod in clear.
describeWith(
  both(both(envoyPart(), iptablesPart()), otherUserPart()),
  '--forward to an http: URL, with a real Envoy and what iptables redirect to it',
  ([[envoy]]) => {
    let outcomes: Readonly<Record<string, Outcome>>;
    beforeAll(async () => {
      const program = resolve(import.meta.dirname, 'in-mesh.ts');
      const script = 'ip link set lo up; exec "$@"';
      const words = ['--net', '--mount', '--kill-child', 'sh', '-ec', script, 'sh', process.execPath, program, envoy];
      const { stdout } = await promisify(execFile)('unshare', words, { timeout: 240_000 });
      outcomes = JSON.parse(stdout.trimEnd().split('\n').at(-1) ?? '');
    });

    it.each(['redirected', 'by TLS again'])('calls with the token by TLS: %s', (name) => {
      expect(outcomes[name]).toMatchObject({ answer: { status: 200, text: 'ok' }, arrived: [WITH_TOKEN] });
    });

    it('calls with the token over HTTP/2 too', () => {
      expect(outcomes['redirected, over HTTP/2']).toEqual({ answer: 200, arrived: [WITH_TOKEN] });
    });

    it.each([
      ['not redirected', 'taken over by no process of this pod'],
      ['redirected no more', 'taken over by no process of this pod'],
      ['by automatic mTLS', 'ISTIO_MUTUAL'],
      ['by a cluster in clear', 'ISTIO_MUTUAL'],
      ['of a service that the mesh does not know', 'has no route for `other.demo.svc.cluster.local`'],
      ['redirected to another process', 'by a process of this user'],
    ])('sends no byte: %s', (name, why) => {
      expect(outcomes[name]).toMatchObject({
        answer: { status: 502, text: expect.stringContaining(why) },
        arrived: [],
      });
    });

    it('sends no byte over HTTP/2 either', () => {
      expect(outcomes['not redirected, over HTTP/2']).toEqual({ answer: 502, arrived: [] });
    });

    it('asks Envoy once for many connections', () => {
      expect(outcomes['questions for twenty calls at once']?.arrived).toHaveLength(20);
      // Two for an answer, one for a look at what is open, and the connections of the count.
      expect(outcomes['questions for twenty calls at once']?.answer).toBeLessThan(10);
    });

    it('asks Envoy once for the first calls of many tasks', () => {
      expect(outcomes['questions for twenty tasks']?.answer).toBeLessThan(10);
    });

    it('says at the start of a run that no call can be made yet, and why', () => {
      expect(outcomes['told without redirection']).toEqual([
        expect.stringMatching(/^tools: no call can be made yet: .* by no process of this pod/),
      ]);
    });

    it('calls by TLS of its own what the sidecar passes on, and says what is wrong if it does not', () => {
      expect(outcomes['by TLS that the sidecar passes on']).toMatchObject({ answer: { status: 200 } });
      expect(outcomes['by TLS to a port of HTTP']).toMatchObject({
        answer: { status: 502, text: expect.stringContaining('TLS within TLS: name the port of the Service `http`') },
        arrived: [],
      });
    });
  },
);
