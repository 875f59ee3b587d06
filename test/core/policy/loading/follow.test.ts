import { describe, expect, it } from '@jest/globals';
import type { SourceFinding } from '../../../../src/core/action/catalog/finding.ts';
import { followPolicies } from '../../../../src/core/policy/loading/follow.ts';
import type { Problem } from '../../../../src/core/runtime/problem.ts';

const finding: SourceFinding = { file: 'a.cedar', line: 1, column: 1, message: 'wrong', help: null };

/** Follows a given source, with one look per call. */
function followed({
  isWhole = false,
  isInForce = true,
  refused = [],
}: { isWhole?: boolean; isInForce?: boolean; refused?: string[] } = {}) {
  const source: { is: string | Problem | Error } = { is: 'a' };
  const said: string[] = [];
  let run: (() => void) | null = null;
  const { reload, stop } = followPolicies({
    feed: {
      look: async () => {
        if (source.is instanceof Error) throw source.is;
        return source.is;
      },
      isWhole,
    },
    policies: {
      reload: async () => {
        const stamp = typeof source.is === 'string' ? source.is : 'nothing';
        said.push(`load ${stamp}`);
        return refused.includes(stamp) ? [finding] : [];
      },
      confirm: () => void said.push('confirm'),
    },
    loaded: 'a',
    isInForce,
    everyMs: 2000,
    after: (delayMs, then) => {
      expect(delayMs).toBe(2000);
      run = then;
      return () => {
        run = null;
      };
    },
    onLoaded: (findings) => said.push(`${findings.length} findings`),
    onProblem: (problem) => said.push(problem ?? 'over'),
  });
  const look = async (is: string | Problem | Error): Promise<readonly string[]> => {
    source.is = is;
    run?.();
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
    return said.splice(0);
  };
  const reloaded = async (is: string | Problem): Promise<readonly string[]> => {
    source.is = is;
    await reload();
    return said.splice(0);
  };
  return { look, reloaded, stop, isWaiting: () => run !== null };
}

describe('followPolicies', () => {
  it('confirms a set whose source is unchanged', async () => {
    const { look } = followed();
    expect([await look('a'), await look('a')]).toEqual([['confirm'], ['confirm']]);
  });

  it('confirms nothing if the current source was refused', async () => {
    const { look } = followed({ isInForce: false, isWhole: true });
    expect([await look('a'), await look('b'), await look('b')]).toEqual([[], ['load b', '0 findings'], ['confirm']]);
  });

  it('loads a change after two equal looks', async () => {
    const { look } = followed();
    expect(await look('half')).toEqual([]);
    expect(await look('b')).toEqual([]);
    expect(await look('b')).toEqual(['load b', '0 findings']);
    expect(await look('b')).toEqual(['confirm']);
  });

  it('reports a look that throws once, and loads the next change', async () => {
    const { look, isWaiting } = followed({ isWhole: true });
    expect(await look(new Error('no disk'))).toEqual(['the look failed: Error: no disk']);
    expect(await look(new Error('no disk'))).toEqual([]);
    expect(isWaiting()).toBe(true);
    expect(await look('b')).toEqual(['over', 'load b', '0 findings']);
  });

  it('loads an atomic source at once', async () => {
    const { look } = followed({ isWhole: true });
    expect(await look('b')).toEqual(['load b', '0 findings']);
  });

  it('confirms nothing by a set with findings until it changes', async () => {
    const { look } = followed({ isWhole: true, refused: ['bad', 'worse'] });
    expect(await look('bad')).toEqual(['load bad', '1 findings']);
    expect(await look('bad')).toEqual([]);
    expect(await look('worse')).toEqual(['load worse', '1 findings']);
    expect(await look('a')).toEqual(['load a', '0 findings']);
    expect(await look('a')).toEqual(['confirm']);
  });

  it('loads a refused set again with back-off, and reports its findings once', async () => {
    const refused = ['b'];
    const { look } = followed({ isWhole: true, refused });
    expect(await look('b')).toEqual(['load b', '1 findings']);
    // The looks from one load to the next, two seconds each.
    const looksToNextLoad = async (): Promise<readonly [number, readonly string[]]> => {
      for (let looks = 1; looks < 1_000; looks += 1) {
        const said = await look('b');
        if (said.length > 0) return [looks, said];
      }
      return [0, []];
    };
    const waits: number[] = [];
    for (let time = 0; time < 6; time += 1) {
      const [looks, said] = await looksToNextLoad();
      expect(said).toEqual(['load b']);
      waits.push(looks * 2);
    }
    expect(waits).toEqual([60, 120, 240, 480, 960, 960]);
    refused.pop();
    expect(await looksToNextLoad()).toEqual([480, ['load b', '0 findings']]);
    expect(await look('b')).toEqual(['confirm']);
  });

  it('confirms a set that was refused, and that a reload has put in force', async () => {
    const refused = ['b'];
    const { look, reloaded } = followed({ isWhole: true, refused });
    expect(await look('b')).toEqual(['load b', '1 findings']);
    refused.pop();
    expect(await reloaded('b')).toEqual(['load b', '0 findings']);
    expect(await look('b')).toEqual(['confirm']);
  });

  it('confirms nothing once a reload has refused the set in force', async () => {
    const refused: string[] = [];
    const { look, reloaded } = followed({ refused });
    expect(await look('a')).toEqual(['confirm']);
    refused.push('a');
    expect(await reloaded('a')).toEqual(['load a', '1 findings']);
    expect(await look('a')).toEqual([]);
  });

  it('loads at a reload from an unavailable source, and again once the source is back', async () => {
    const { look, reloaded } = followed();
    expect(await reloaded({ problem: 'gone' })).toEqual(['load nothing', '0 findings']);
    expect(await look({ problem: 'gone' })).toEqual(['gone']);
    expect(await look('a')).toEqual(['over', 'load a', '0 findings']);
    expect(await look('a')).toEqual(['confirm']);
  });

  it('reports an unavailable source once, and confirms nothing', async () => {
    const { look } = followed();
    expect(await look({ problem: 'gone' })).toEqual(['gone']);
    expect(await look({ problem: 'gone' })).toEqual([]);
    expect(await look({ problem: 'still gone' })).toEqual(['still gone']);
    expect(await look('a')).toEqual(['over', 'confirm']);
    expect(await look({ problem: 'gone' })).toEqual(['gone']);
  });

  it('stops', async () => {
    const { look, stop, isWaiting } = followed();
    await look('a');
    expect(isWaiting()).toBe(true);
    stop();
    expect([isWaiting(), await look('b')]).toEqual([false, []]);
  });
});
