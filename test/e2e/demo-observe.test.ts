import { readdirSync } from 'node:fs';
import { beforeAll, expect, it, jest } from '@jest/globals';
import { testFolders } from '../builders/test-folders.ts';
import { describeWith, envoyPart } from '../parts.ts';
import { ran, remit } from './process.ts';

jest.setTimeout(1_200_000);

const folder = testFolders();
/** Of these commands alone: other tests run beside them. */
const temporary = folder();
const cache = folder();

/** Issue 41, point 8: the way in, played with real commands and a real Envoy. */
describeWith(envoyPart(), 'remit demo --observe', (envoy) => {
  const environment = { ENVOY_BIN: envoy, TMPDIR: temporary, REMIT_CACHE: cache };
  let played: Awaited<ReturnType<typeof ran>>;
  /** What was printed of the step with these words in its title. */
  const step = (words: string): string =>
    played.out.split(/^(?=[ \d]\d\. )/m).find((text) => (text.split('\n')[0] ?? '').includes(words)) ?? '';

  beforeAll(async () => {
    played = await ran(['demo', '--observe'], environment);
  });

  it('goes from nothing to enforced in six commands, prints so last and ends with 0', () => {
    expect(played.out).not.toContain('NOT AS EXPECTED');
    expect(played.out.trimEnd().split('\n').at(-1)).toMatch(
      /^demo: (\d+) of \1 steps as expected: from nothing to enforced in 6 commands; 54 calls observed, none blocked; 9 calls allowed by what was learnt; 3 off-task calls denied$/,
    );
    expect(played.code).toBe(0);
    for (const number of [1, 2, 3, 4, 5, 6]) expect(step(`command ${number} of 6`)).toMatch(/\$ |enforce/);
  });

  it('blocks nothing of agents that know nothing of Remit, and records what enforcing would have answered', () => {
    const seen = step('know nothing of Remit');
    expect(seen).toContain('54 calls of 3 agents, 0 blocked; 54 reached the tool server');
    expect(seen).toMatch(/recorded: 54 calls that enforcing would answer with deny token\.missing/);
  });

  it('prints what each command printed: what was learnt, its tests, the inventory', () => {
    expect(step('policies are learnt')).toMatch(
      /\$ remit learn .*\n(?:.*\n)*.*judged: of \d+ calls \d+ would be allowed/,
    );
    expect(step('passes its own tests')).toMatch(/\$ remit policy test learnt\n.*passed, 0 failed/);
    expect(step('when each was last used')).toMatch(/agent +spiffe:\/\/acme\.test\/agents\/digest/);
  });

  it('says which agents are ready, and ends their entry by the command for it', () => {
    expect(step('ready to be enforced')).toMatch(/agents\/triage-1\n(?:.*\n)*.*not ready: seen on 1 of 7 days/);
    expect(step('command 6 of 6')).toMatch(
      /\$ remit observe end agents --write .*\n(?:.*\n)* +- {2}- id: agents\n(?:.*\n)*.*all its calls are enforced/,
    );
  });

  it('goes on once the agents are enforced, over HTTP and MCP, in tasks of their learnt intents', () => {
    const seen = step('the work of the agents goes on');
    expect(seen).toMatch(/triage-1, task [0-9a-f-]{36}: GET \/tickets 200, .*POST \/tickets\/102\/notes 200/);
    expect(seen).toMatch(/digest, task .*MCP tool search_tickets 200/);
  });

  it('denies calls that are off the task, and leads from the denial to its record and trace', () => {
    const seen = step('goes astray');
    expect(seen).toContain('triage-1: DELETE /tickets/101 403 action.unknown');
    expect(seen).toContain('triage-1: MCP tool get_ticket');
    expect(seen).toMatch(/digest: MCP tool delete_ticket \d+ action\.unknown/);
    const [, decision = '', trace = ''] = /decision ([0-9a-f-]{36}), trace ([0-9a-f]{32}), task/.exec(seen) ?? [];
    expect(seen).toContain(`$ remit explain ${decision}`);
    expect(seen).toMatch(new RegExp(`DELETE tools\\.acme\\.test/tickets/101 .* action\\.unknown .*${trace}`));
  });

  it('prints no token and no key, and leaves nothing behind', () => {
    expect(`${played.out}${played.err}`).not.toMatch(/eyJ|PRIVATE KEY/);
    expect(readdirSync(temporary)).toEqual([]);
  });

  it('leaves nothing after Ctrl-C in the middle', async () => {
    const running = remit(['demo', '--observe'], environment);
    await running.said('command 1 of 6');
    running.child.kill('SIGINT');
    expect(await running.exit).toBe(1);
    expect(readdirSync(temporary)).toEqual([]);
  });

  it.each([
    [['--keep'], /`--keep` does not go with `--observe`/],
    [['--fleet'], /`--fleet` does not go with `--observe`/],
  ])('%s: says what is wrong and starts nothing', async (more, problem) => {
    const { code, out, err } = await ran(['demo', '--observe', ...more], environment);
    expect([code, out]).toEqual([2, '']);
    expect(err).toMatch(problem);
  });
});
