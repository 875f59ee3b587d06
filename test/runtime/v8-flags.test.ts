import { describe, expect, it } from '@jest/globals';
import { allocatorToAdd, flagsToAdd } from '../../src/runtime/v8-flags.ts';

const wanted = ['--max-semi-space-size=32', '--min-semi-space-size=16'];

describe('flagsToAdd', () => {
  it.each([
    ['nothing is set', [], undefined, wanted],
    ['other things are set', ['--no-warnings'], '--enable-source-maps --max-old-space-size=200', wanted],
    ['one is set on the command line', ['--max-semi-space-size=8'], undefined, [wanted[1]]],
    ['one is set with underscores', ['--max_semi_space_size=8'], undefined, [wanted[1]]],
    ['both are set in NODE_OPTIONS', [], '--min-semi-space-size=1  --max-semi-space-size=2', []],
    ['the process was started with them', wanted, undefined, []],
  ])('adds flags that are not set, where %s', (_name, execArgv, nodeOptions, added) => {
    expect(flagsToAdd(wanted, { execArgv, nodeOptions })).toEqual(added);
  });
});

describe('allocatorToAdd', () => {
  const allocator = { MALLOC_ARENA_MAX: '2' };
  it.each([
    ['nothing is set', {}, allocator],
    ['other things are set', { PATH: '/bin', GLIBC: 'x' }, allocator],
    ['one of them is set', { MALLOC_TRIM_THRESHOLD_: '0' }, {}],
    ['GLIBC_TUNABLES sets one of them', { GLIBC_TUNABLES: 'glibc.malloc.arena_max=1' }, {}],
    ['the process was started with them', allocator, {}],
  ])('adds all or nothing, where %s', (_name, environment, added) => {
    expect(allocatorToAdd(allocator, environment)).toEqual(added);
  });
});
