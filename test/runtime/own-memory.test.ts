import { execFile } from 'node:child_process';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, it } from '@jest/globals';
import { ownMemory } from '../../src/runtime/own-memory.ts';

const urlOf = (path: string): string => JSON.stringify(pathToFileURL(path).href);

/** How much memory of buffers is kept by what a program has made, in MiB: it calls `make` 200 times, and others use buffers in between. */
async function keptBy(program: string): Promise<number> {
  const code = `
    ${program}
    const used = () => { gc(); gc(); return process.memoryUsage().arrayBuffers; };
    const before = used();
    const kept = [];
    for (let turn = 0; turn < 200; turn += 1) {
      kept.push(make(turn));
      for (let other = 0; other < 10; other += 1) Buffer.allocUnsafe(30_000);
    }
    console.log((used() - before) / 2 ** 20, kept.length);`;
  const args = ['--expose-gc', '--input-type=module', '--eval', code];
  return Number((await promisify(execFile)(process.execPath, args)).stdout.split(' ')[0]);
}

describe(ownMemory, () => {
  it('has the same bytes in memory that nothing else uses', () => {
    const bytes = Buffer.from('some bytes');
    const own = ownMemory(bytes);
    expect([own.equals(bytes), own.buffer.byteLength]).toEqual([true, bytes.length]);
    bytes[0] = 0;
    expect(own.toString()).toBe('some bytes');
  });

  it('keeps no more than the bytes, where a copy of Node.js keeps what it was cut from', async () => {
    const own = `import { ownMemory } from ${urlOf('src/runtime/own-memory.ts')};`;
    expect(await keptBy(`${own} const make = () => ownMemory(Buffer.alloc(500));`)).toBeLessThan(2);
    // Where this fails, Node.js has changed and the function is not needed.
    expect(await keptBy('const make = () => Buffer.from(Buffer.alloc(500));')).toBeGreaterThan(5);
  });

  it('is where the answers of allows are kept', async () => {
    const program = `
      import { checkResponseFrom } from ${urlOf('src/envoy/response.ts')};
      const id = '0198f6c1-0000-7000-8000-000000000000';
      const answer = { decision: { kind: 'allow', policyIds: ['p'] }, decisionId: id, taskId: id, action: 'payments.read' };
      const other = { resourceMetadataUrl: null, traceId: 'ab'.repeat(16), transactionToken: null, passing: [] };
      const make = (turn) => void checkResponseFrom({ ...answer, ...other, agent: 'spiffe://acme.test/agent-' + turn }, {});`;
    expect(await keptBy(program)).toBeLessThan(2);
  });

  it('is where the nodes of a tree are kept', async () => {
    const program = `
      import { appended, emptyRange, keptRange } from ${urlOf('src/ledger/compact-range.ts')};
      import { leafHash } from ${urlOf('src/ledger/merkle.ts')};
      const make = (turn) => keptRange(appended(emptyRange, leafHash(Buffer.from('leaf ' + turn))));`;
    expect(await keptBy(program)).toBeLessThan(2);
  });

  it('is where what an authority knows of a log is kept', async () => {
    const program = `
      import { leafBytes } from ${urlOf('src/ledger/leaf.ts')};
      import { newEmitter, received } from ${urlOf('src/ledger/received/emitter.ts')};
      const leaf = leafBytes(Buffer.from('{"at":1,"kind":"use"}'), { boot: '0'.repeat(32), mono: 1, prev: null, seq: 1 });
      const make = () => {
        const after = received(newEmitter({ origin: 'o', key: null, id: 'unix' }), { from: 0, leaves: [leaf], checkpoint: '' });
        if ('problem' in after) throw new Error(after.problem);
        return after;
      };`;
    expect(await keptBy(program)).toBeLessThan(2);
  });
});
