import { createServer, type Server } from 'node:http';
import { request } from 'node:https';
import { beforeAll, expect, it } from '@jest/globals';
import { taskShow } from '../../src/cli/task/task-show.ts';
import { Agent } from '../../src/dev/agent.ts';
import type { IssuedSvid } from '../../src/dev/authority.ts';
import type { DevDomain } from '../../src/dev/domain.ts';
import { tokenRequest } from '../../src/dev/issuer-request.ts';
import type { LedgerRecord, UseRecord } from '../../src/core/ledger/record.ts';
import type { FindingRecord, OutcomeRecord } from '../../src/core/ledger/outcome-record.ts';
import { envoyPart, describeWith } from '../parts.ts';
import { envoyVersions } from '../parts/cache.ts';
import { until } from '../until.ts';
import { carelessEnvoy } from './outcome-envoy.ts';
import { testFolder } from '../builders/test-folders.ts';
import { ledgerTimeline } from '../builders/ledger-timeline.ts';
import { startDomain } from './domain.ts';

const TIMEOUT_SECONDS = 2;
const SLOW_MS = 3_500;

/** A server of files whose names select its behaviour. */
async function startFiles(): Promise<{ readonly server: Server; readonly port: number }> {
  let flakyCalls = 0;
  const server = createServer((asked, answer) => {
    asked.resume();
    const name = asked.url?.split('/').at(-1)?.split('?')[0] ?? '';
    if (name === 'boom') answer.writeHead(500).end('boom!');
    else if (name === 'flaky' && (flakyCalls += 1) === 1) answer.writeHead(503).end();
    else if (name === 'slow') setTimeout(() => answer.end('slow'), SLOW_MS);
    else if (name === 'endless') answer.write('a');
    else answer.end('hello');
  });
  const port = await new Promise<number>((resolve) => {
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      resolve(typeof address === 'object' && address !== null ? address.port : 0);
    });
  });
  return { server, port };
}

for (const version of envoyVersions) {
  describeWith(envoyPart(version), `outcomes from the access log of Envoy ${version}`, (envoy) => {
    const scratch = testFolder(async () => {
      agent?.close();
      await domain?.stop();
      files?.server.closeAllConnections();
      files?.server.close();
    });
    let files: Awaited<ReturnType<typeof startFiles>>;
    let domain: DevDomain;
    let svid: IssuedSvid;
    let agent: Agent;
    let token: string;
    let taskId: string;
    const log: string[] = [];
    beforeAll(async () => {
      files = await startFiles();
      domain = await startDomain(envoy, {
        folder: scratch.folder,
        log: (line) => log.push(line),
        settings: { outcomes: { timeoutSeconds: TIMEOUT_SECONDS } },
        filesServer: { host: '127.0.0.1', port: files.port },
        envoyConfig: carelessEnvoy,
      });
      svid = await domain.authority.svid('/ns/agents/sa/planner');
      agent = new Agent(svid, domain.authority.bundlePem);
      ({ token, taskId } = await declareFiles());
    });

    const declareFiles = async () => {
      const request = tokenRequest('https://files.acme.test', { actions: ['files.read'], purpose: 'read files' });
      const { issuerPort, issuerHost } = domain.stage;
      const reply = await agent.call(issuerPort, { host: issuerHost, ...request });
      const body = JSON.parse(reply.body);
      return { token: String(body.access_token), taskId: String(body.txn) };
    };

    const call = async (path: string, headers = { authorization: `Bearer ${token}` }) =>
      (await agent.call(domain.stage.envoyPort, { host: 'files.acme.test', path, headers })).status;

    const records = async (): Promise<readonly LedgerRecord[]> => {
      await domain.remit.flush();
      return ledgerTimeline(scratch.folder);
    };

    /** The use of a path and its outcome, once it has one. */
    const outcomeOf = (path: string): Promise<readonly [UseRecord, OutcomeRecord]> =>
      until(async () => {
        const all = await records();
        const use = all.find((record) => record.kind === 'use' && record.path === path);
        if (use?.kind !== 'use') return undefined;
        const outcome = all.find((record) => record.kind === 'outcome' && record.decisionId === use.decisionId);
        return outcome?.kind === 'outcome' ? ([use, outcome] as const) : undefined;
      });

    const findingOf = (kind: FindingRecord['finding'], path?: string): Promise<FindingRecord> =>
      until(async () => {
        const found = (await records()).find(
          (record) =>
            record.kind === 'finding' &&
            record.finding === kind &&
            (path === undefined || record.details['path'] === path),
        );
        return found?.kind === 'finding' ? found : undefined;
      });

    it('an allowed use has status, duration and bytes', async () => {
      expect(await call('/v1/files/a')).toBe(200);
      const [use, outcome] = await outcomeOf('/v1/files/a');
      expect(outcome).toMatchObject({
        known: true,
        task: taskId,
        agent: svid.id,
        action: 'files.read',
        decision: 'allow',
        status: 200,
        details: 'via_upstream',
        flags: [],
        requestBytes: 0,
        responseBytes: 5,
        attempts: 1,
        upstreamCluster: 'files',
      });
      expect(outcome.decisionId).toBe(use.decisionId);
      expect(outcome.durationMs).toBeGreaterThan(outcome.upstreamMs ?? Infinity);
      expect(outcome.upstreamMs).toBeGreaterThan(0);
    });

    it('a denied use has the outcome of a denial', async () => {
      expect(await call('/v1/files/denied', { authorization: 'Bearer no' })).toBe(401);
      const [, outcome] = await outcomeOf('/v1/files/denied');
      expect(outcome).toMatchObject({
        decision: 'deny',
        status: 401,
        details: 'ext_authz_denied',
        flags: ['UAEX'],
        attempts: 0,
        upstreamCluster: null,
        upstreamMs: null,
      });
    });

    it.each([
      ['/v1/files/boom', 500, { status: 500, details: 'via_upstream', responseBytes: 5, attempts: 1, flags: [] }],
      ['/v1/files/flaky', 200, { status: 200, details: 'via_upstream', attempts: 2, flags: [] }],
      ['/v1/files/down', 503, { status: 503, attempts: 1, flags: ['UF'], upstreamCluster: 'down', upstreamMs: null }],
    ])('%s is answered %s', async (path, status, expected) => {
      expect(await call(path)).toBe(status);
      expect((await outcomeOf(path))[1]).toMatchObject({ known: true, decision: 'allow', ...expected });
    });

    it('a client that disconnects has an outcome of its own', async () => {
      await new Promise<void>((resolve) => {
        const outgoing = request(
          {
            host: '127.0.0.1',
            port: domain.stage.envoyPort,
            path: '/v1/files/endless',
            headers: { host: 'files.acme.test', authorization: `Bearer ${token}` },
            cert: svid.certPem,
            key: svid.keyPem,
            ca: domain.authority.bundlePem,
            agent: false,
          },
          (response) => response.once('data', () => outgoing.destroy()),
        );
        outgoing.on('error', () => undefined).on('close', resolve);
        outgoing.end();
      });
      const [, outcome] = await outcomeOf('/v1/files/endless');
      expect(outcome).toMatchObject({ status: 200, details: 'downstream_remote_disconnect', flags: ['DC'] });
    });

    it('a route without a check is a bypass, but not a route that Envoy answers itself', async () => {
      expect(await call('/v1/files/open-direct')).toBe(404);
      expect(await call('/v1/files/open?secret=s3cret')).toBe(200);
      expect(await findingOf('bypass')).toMatchObject({
        count: 1,
        task: null,
        decisionId: null,
        agent: svid.id,
        details: {
          method: 'GET',
          host: 'files.acme.test',
          path: '/v1/files/open',
          status: 200,
          upstreamCluster: 'files',
          requestId: expect.stringMatching(/^[0-9a-f-]{36}$/),
        },
      });
      const bypasses = (await records()).filter((record) => record.kind === 'finding' && record.finding === 'bypass');
      expect(bypasses).toHaveLength(1);
      expect(log.filter((line) => line.startsWith('finding bypass: '))).toHaveLength(1);
      expect(JSON.stringify(await records()) + log.join('\n')).not.toContain('s3cret');
    });

    it('a call that passed because its check failed is a finding', async () => {
      expect(await call('/v1/files/dead')).toBe(200);
      const finding = await findingOf('failure-mode-allowed');
      expect(finding).toMatchObject({ agent: svid.id, details: { path: '/v1/files/dead', status: 200 } });
      expect(log.filter((line) => line.startsWith('finding failure-mode-allowed: '))).toHaveLength(1);
    });

    it('a use missing from the access log is reported, but not a long call that is still running', async () => {
      const slow = call('/v1/files/slow');
      expect(await call('/v1/files/quiet')).toBe(200);
      const finding = await findingOf('outcome-missing');
      const uses = (await records()).filter((record) => record.kind === 'use');
      expect(uses.find((use) => use.path === '/v1/files/quiet')?.decisionId).toBe(finding.decisionId);
      expect(finding).toMatchObject({ task: taskId, agent: svid.id, action: 'files.read' });
      expect(await slow).toBe(200);
      expect((await outcomeOf('/v1/files/slow'))[1]).toMatchObject({ known: true, status: 200 });
      const missing = (await records()).filter(
        (record) => record.kind === 'finding' && record.finding === 'outcome-missing',
      );
      expect(missing).toHaveLength(1);
    });

    it('`remit task show` prints each outcome under its use', async () => {
      await outcomeOf('/v1/files/flaky');
      const shown = await taskShow([taskId, '--config', domain.places.get('configuration') ?? ''], {
        environment: {},
        err: () => undefined,
      });
      const lines = typeof shown === 'string' ? shown.split('\n') : [];
      const at = lines.findIndex((line) => line.includes('/v1/files/flaky'));
      expect(lines[at + 1]).toMatch(/ {2}outcome: 200, \d+ ms \(upstream \d+ ms\), 0 B in, 5 B out, 2 attempts {2,}-/);
    });
  });
}
