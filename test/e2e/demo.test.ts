import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { testFolders } from '../builders/test-folders.ts';
import { describeWith, envoyPart } from '../parts.ts';
import { ran, remit } from './process.ts';

interface Span {
  readonly name: string;
  readonly traceId: string;
  readonly spanId: string;
  readonly attributes: readonly {
    readonly key: string;
    readonly value: { readonly stringValue?: string; readonly intValue?: number };
  }[];
  readonly links?: readonly {
    readonly traceId: string;
    readonly spanId: string;
    readonly attributes: Span['attributes'];
  }[];
}

const folder = testFolders();
/** Of these commands alone: other tests run beside them. */
const temporary = folder();
const cache = folder();
const leftovers = (): readonly string[] => readdirSync(temporary);
const attribute = ({ attributes }: Pick<Span, 'attributes'>, key: string): string | undefined =>
  attributes.find((one) => one.key === key)?.value.stringValue;

describeWith(envoyPart(), 'remit demo', (envoy) => {
  const spans: Span[] = [];
  const collector = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const body = JSON.parse(Buffer.concat(chunks).toString('utf8'));
      // Checkpoints of the ledger arrive at the same address, as logs.
      for (const resource of body.resourceSpans ?? [])
        for (const scope of resource.scopeSpans) spans.push(...scope.spans);
      response.setHeader('content-type', 'application/json').end('{}');
    });
  });
  let endpoint = '';
  let played: Awaited<ReturnType<typeof ran>>;

  beforeAll(async () => {
    await new Promise<void>((done) => collector.listen(0, '127.0.0.1', done));
    endpoint = `http://127.0.0.1:${(collector.address() as AddressInfo).port}`;
    played = await ran(['demo'], {
      ENVOY_BIN: envoy,
      TMPDIR: temporary,
      REMIT_CACHE: cache,
      OTEL_EXPORTER_OTLP_ENDPOINT: endpoint,
      OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json',
    });
  });
  afterAll(() => new Promise((done) => collector.close(done)));

  it('plays every step as expected and prints so last', () => {
    expect(played.out).toContain('demo: 13 of 13 steps as expected\n');
    expect(played.out.trimEnd().split('\n').at(-1)).toBe('demo: 13 of 13 steps as expected');
    expect(played.code).toBe(0);
  });

  it('prints the steps and the record alone; its log is in a file for its owner', () => {
    const lines = played.out.trimEnd().split('\n');
    expect(played.err).toBe('');
    // Issue 37, point 18: 45 with the four lines in which npm names the script. Two lines for each of 7 denials and one for each other step; the
    // record of the task, without repeats of calls that a busy machine did not decide in time; where the log is, and the result.
    expect(lines.filter((line) => !line.includes('check.deadline')).length).toBeLessThanOrEqual(41);
    expect(lines.filter((line) => /^\{|signing keys|policies: /.test(line))).toEqual([]);
    const log = readFileSync(join(cache, 'demo.log'), 'utf8');
    expect(log).toMatch(/^ready$/m);
    expect(log).toMatch(/^\{"kind":"decision",.*"reason":"token.binding"/m);
    expect(statSync(join(cache, 'demo.log')).mode & 0o777).toBe(0o600);
  });

  it('names who presented the stolen token, and the caller of each use', () => {
    expect(played.out).toMatch(
      /token presented by spiffe:\/\/acme\.test\/ns\/agents\/sa\/thief, to whom it was not issued/,
    );
    const uses = played.out.split('\n').filter((line) => / use \d: /.test(line));
    expect(uses.length).toBeGreaterThanOrEqual(8);
    for (const line of uses)
      expect(line).toMatch(/ spiffe:\/\/acme\.test\/ns\/agents\/sa\/(?:planner|thief) +(?:allow|deny) /);
  });

  it('prints no token and no key', () => {
    expect(`${played.out}${played.err}${readFileSync(join(cache, 'demo.log'), 'utf8')}`).not.toMatch(/eyJ|PRIVATE KEY/);
  });

  it('leaves nothing behind', () => {
    expect(leftovers()).toEqual([]);
  });

  it('links each use of a token to its issuance span, in the trace named by the attribute', () => {
    const issuance = spans.find(
      (span) => span.name === 'token.issue' && attribute(span, 'remit.task.id') !== undefined,
    );
    const uses = spans.filter(
      (span) =>
        /^(allow|deny) /.test(span.name) &&
        attribute(span, 'remit.task.id') !== undefined &&
        // On a busy machine a call that was not decided in time is called again.
        attribute(span, 'remit.reason') !== 'check.deadline',
    );
    expect(uses.length).toBeGreaterThanOrEqual(8);
    for (const use of uses) {
      const link = use.links?.find((one) => attribute(one, 'remit.link') === 'issued_by');
      expect([link?.traceId, link?.spanId]).toEqual([issuance?.traceId, issuance?.spanId]);
      expect(attribute(use, 'remit.intent.trace_id')).toBe(issuance?.traceId);
    }
    const reuses = uses.filter((span) => span.links?.some((one) => attribute(one, 'remit.link') === 'previous_use'));
    expect(reuses).toHaveLength(uses.length - 1);
  });

  it('exports a span for every denial, with its reason', () => {
    const reasons = spans.map((span) => attribute(span, 'remit.reason'));
    for (const reason of [
      'token.missing',
      'token.binding',
      'policy.forbidden',
      'task.completed',
      'identity.untrusted-domain',
    ]) {
      expect(reasons).toContain(reason);
    }
    expect(JSON.stringify(spans)).not.toMatch(/eyJ/);
  });

  it('keeps running with --keep, and leaves nothing after Ctrl-C', async () => {
    const running = remit(['demo', '--keep'], { ENVOY_BIN: envoy, TMPDIR: temporary, REMIT_CACHE: cache });
    await running.said('running until Ctrl-C');
    expect(running.out()).toMatch(/ {2}envoy +https:\/\/127\.0\.0\.1:\d+/);
    running.child.kill('SIGINT');
    expect(await running.exit).toBe(0);
    expect(running.out()).toMatch(/demo: \d+ of \d+ steps as expected/);
    expect(leftovers()).toEqual([]);
  });

  it('leaves nothing after Ctrl-C in the middle', async () => {
    const running = remit(['demo'], { ENVOY_BIN: envoy, TMPDIR: temporary, REMIT_CACHE: cache });
    await running.said('1. allow');
    running.child.kill('SIGINT');
    await running.exit;
    expect(leftovers()).toEqual([]);
  });
});
