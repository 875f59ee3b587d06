import { execFile } from 'node:child_process';
import { expect, it } from '@jest/globals';
import { AuthorizationServer } from '../../../src/sidecar/envoy/server.ts';
import { systemPorts } from '../../../src/core/runtime/ports.ts';
import { oneByOne } from '../envoy/handlers.ts';
import { refuse } from '../envoy/wire.ts';
import { describeWith, h2specPart } from '../../parts.ts';
import { answer, echo, stage } from './stage.ts';
import { must } from '../../builders/must.ts';

/**
 * All sections but 5.1.2 and two cases of `generic/2`, which need an answer with content or a stream that stays open. The four skipped
 * cases need content too. A server that answers everything is tested with all of them.
 */
const WITHOUT_CONTENT = [
  'generic/1 generic/2/1 generic/2/4 generic/2/5 generic/3 generic/4 generic/5 hpack',
  'http2/3 http2/4 http2/5.1.1 http2/5.3 http2/5.4 http2/5.5 http2/6 http2/7 http2/8',
  ...Array.from({ length: 13 }, (_, index) => `http2/5.1/${index + 1}`),
].flatMap((names) => names.split(' '));

/** The last line of h2spec, preceded by its failed cases. */
const verdictOn = (h2spec: string, port: number | string, cases: readonly string[] = []): Promise<string> =>
  new Promise((resolve) => {
    // Strict: recommendations are tested too. The exit code says no more than the last line.
    execFile(h2spec, [...cases, '--strict', '--timeout', '30', '--port', String(port)], (_error, stdout) => {
      const failures = stdout.includes('Failures:') ? stdout.slice(stdout.indexOf('Failures:')) : '';
      resolve(`${failures}${stdout.trim().split('\n').at(-1)}`);
    });
  });

describeWith(h2specPart(), 'Http2Server held to h2spec', (h2spec) => {
  const { serve } = stage();

  it('conforms in every case', async () => {
    const { port } = await serve((stream) => ({
      ...echo(stream),
      ended: () => answer(stream, Buffer.alloc(100_000, 97)),
    }));
    expect(await verdictOn(h2spec, port)).toBe('146 tests, 146 passed, 0 skipped, 0 failed');
  });
});

describeWith(h2specPart(), 'AuthorizationServer held to h2spec', (h2spec) => {
  it('conforms in every case that needs no answer with content', async () => {
    const server = new AuthorizationServer(
      oneByOne(() => new Uint8Array()),
      { ...systemPorts, refuse },
    );
    try {
      const bound = must(await server.listen(['127.0.0.1:0']));
      const port = String(bound[0]).split(':').at(-1) ?? '';
      const verdict = await verdictOn(h2spec, port, WITHOUT_CONTENT);
      expect(verdict).toBe('143 tests, 139 passed, 4 skipped, 0 failed');
    } finally {
      await server.close(0);
    }
  });
});
