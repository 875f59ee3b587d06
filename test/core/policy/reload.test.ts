import { appendFile, cp, mkdtemp, readFile, rename, rm, unlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { isDeny } from '../../../src/core/decision/decision.ts';
import { authorize } from '../../../src/core/policy/authorize.ts';
import { anyPath } from '../../../src/core/config/writable-path.ts';
import { PolicyInForce } from '../../../src/core/policy/policy-in-force.ts';
import { folderFeed } from '../../../src/core/policy/loading/feed.ts';
import { followPolicies } from '../../../src/core/policy/loading/follow.ts';
import { loadPolicies } from '../../../src/core/policy/loading/load.ts';
import { issueQuestion } from '../../../src/core/policy/issue-question.ts';
import { folderStamp, systemDisk } from '../../../src/core/policy/loading/source.ts';
import { systemPorts } from '../../../src/core/runtime/ports.ts';
import { after } from '../../../src/core/runtime/timers.ts';
import { until } from '../../until.ts';
import { swapConfigMap } from './config-map.ts';
import { compileHere } from '../../builders/policy-folder.ts';
import { unconstrained } from '../../../src/core/token/authorization-details.ts';
import { mustSpiffeId } from '../../builders/spiffe-id.ts';

let parent: string;
let folder: string;
beforeEach(async () => {
  parent = await mkdtemp(join(tmpdir(), 'remit-reload-'));
  folder = join(parent, 'p');
  await cp('cedar-policies', folder, { recursive: true });
});
afterEach(() => rm(parent, { recursive: true }));

const stamp = async () => {
  const found = await folderStamp(folder);
  if (typeof found !== 'string') throw new Error(found.problem);
  return found;
};

const changing = (times: number) => {
  let left = times;
  let count = 0;
  return {
    ...systemDisk,
    read: (file: string, max: number) => {
      if (file.endsWith('files.cedar') && left > 0) {
        left -= 1;
        count += 1;
      }
      return systemDisk.read(file, max);
    },
    stamp: async () => String(count),
  };
};

const version = (n: number) => `@id("v${n}") permit (principal, action == Remit::Action::"issue", resource);\n`;

describe('folderStamp', () => {
  it('changes with every kind of change, and only then', async () => {
    const stamps = [await stamp(), await stamp()];
    expect(stamps[0]).toBe(stamps[1]);
    const file = join(folder, 'policies', 'files.cedar');
    const text = await readFile(file, 'utf8');
    const changes: readonly (readonly [string, () => Promise<unknown>])[] = [
      ['the same bytes written again', () => writeFile(file, text)],
      ['other bytes of the same length', () => writeFile(file, text.replace('files-read', 'files-raed'))],
      ['a file more', () => writeFile(join(folder, 'x.cedar'), '')],
      ['a file less', () => unlink(join(folder, 'x.cedar'))],
      ['the catalog', () => writeFile(join(folder, 'actions.yaml'), 'servers: {}')],
    ];
    let before = await stamp();
    for (const [name, change] of changes) {
      await change();
      const next = await stamp();
      expect([name, next === before]).toEqual([name, false]);
      before = next;
    }
    // A file that is not part of the set changes nothing.
    await writeFile(join(folder, 'notes.txt'), 'x');
    expect(await stamp()).toBe(before);
  });

  it('changes when a mounted ConfigMap is swapped', async () => {
    await swapConfigMap(folder, { 'x.cedar': '// one' });
    const before = await stamp();
    await swapConfigMap(folder, { 'x.cedar': '// two' });
    expect(await stamp()).not.toBe(before);
  });

  it('reports a missing folder', async () => {
    expect(await folderStamp(join(folder, 'none'))).toEqual({
      problem: 'the policy folder could not be read: ENOENT',
    });
  });
});

describe('loadPolicies', () => {
  it('reads a folder again that changed while it was read', async () => {
    const set = await loadPolicies(folder, { disk: changing(4), compile: compileHere });
    expect(set).toMatchObject({ ready: true });
  });

  it('refuses a folder that changes again and again', async () => {
    expect(await loadPolicies('cedar-policies', { disk: changing(100), compile: compileHere })).toEqual({
      findings: [
        {
          file: 'cedar-policies',
          line: 1,
          column: 1,
          message: 'the policy folder changed again and again while it was read',
          help: null,
        },
      ],
    });
  });
});

describe('followPolicies under edits', () => {
  const agent = mustSpiffeId('spiffe://acme.test/ns/agents/sa/planner');

  /** The set that answered: each has a permit with an id of its own. */
  function asked(policies: PolicyInForce): string {
    const set = policies.get();
    if (isDeny(set)) return 'dropped';
    const server = set.catalog.servers.get('files');
    if (server === undefined) return 'dropped';
    const decision = authorize(
      set,
      issueQuestion(
        {
          agent,
          server,
          purpose: 'p',
          actions: ['files.read'],
          requested: { action: 'files.read', risk: 'low', constraints: unconstrained },
          ttlSeconds: 1,
          taskSeconds: 1,
          nowMs: 0,
        },
        set.catalog,
      ),
    );
    return `${decision.kind} ${decision.policyIds.filter((id) => id.startsWith('v')).join()}`;
  }

  it('swaps sets atomically under random edits with invalid and partial sets, and answers every question', async () => {
    const file = join(folder, 'x.cedar');
    const put = async (text: string): Promise<void> => {
      await writeFile(`${file}.tmp`, text);
      await rename(`${file}.tmp`, file);
    };
    await put(version(1));
    const feed = folderFeed(folder, anyPath);
    const policies = new PolicyInForce(feed.load, { ports: systemPorts, maxAgeMs: null });
    const loaded = await feed.look();
    expect(await policies.reload()).toEqual([]);
    const loads: number[] = [];
    const { stop } = followPolicies({
      feed,
      policies,
      loaded: typeof loaded === 'string' ? loaded : '',
      isInForce: true,
      everyMs: 20,
      after,
      onLoaded: (findings) => loads.push(findings.length),
      onProblem: (problem) => {
        throw new Error(String(problem));
      },
    });
    const answers = new Set<string>();
    const over = { is: false };
    const questions = (async () => {
      while (!over.is) {
        answers.add(asked(policies));
        await new Promise((resolve) => {
          setImmediate(resolve);
        });
      }
    })();
    try {
      // Never empty: a file that a busy machine leaves so for two looks is a policy file, without a policy.
      await put(version(1).slice(0, 1));
      for (const letter of version(1).slice(1, 50).split('')) await appendFile(file, letter);
      await put('permit (principal, action, resource);');
      await until(() => loads.some((findings) => findings > 0));
      expect(asked(policies)).toBe('allow v1');
      for (let edit = 0; edit < 10; edit += 1) await put(version(2));
      // Seen by the questions themselves: they end with this block.
      await until(() => answers.has('allow v2'));
    } finally {
      over.is = true;
      stop();
      await questions;
    }
    // A set without the file would have answered `allow` by other policies alone.
    expect([...answers].toSorted()).toEqual(['allow v1', 'allow v2']);
  });
});
