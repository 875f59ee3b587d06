import { describe, expect, it } from '@jest/globals';
import { allocatorToAdd, flagsToAdd } from '../../src/runtime/v8-flags.ts';

const wanted = ['--max-semi-space-size=32', '--min-semi-space-size=16'];

describe('flagsToAdd', () => {
  it.each([
    ['nothing is set', [], undefined, wanted],
    ['other things are set', ['--no-warnings'], '--enable-source-maps --max-old-space-size=200', wanted],
    ['one is set on the command line', ['--max-semi-space-size=8'], undefined, [wanted[1]]],
    ['one is set in the letters of V8', ['--max_semi_space_size=8'], undefined, [wanted[1]]],
    ['both are set in NODE_OPTIONS', [], '--min-semi-space-size=1  --max-semi-space-size=2', []],
    ['it was begun with them', wanted, undefined, []],
  ])('adds what nobody has set, where %s', (_name, execArgv, nodeOptions, added) => {
    expect(flagsToAdd(wanted, { execArgv, nodeOptions })).toEqual(added);
  });
});

describe('allocatorToAdd', () => {
  const allocator = { MALLOC_ARENA_MAX: '2' };
  it.each([
    ['nothing is set', {}, allocator],
    ['other things are set', { PATH: '/bin', GLIBC: 'x' }, allocator],
    ['something of it is set', { MALLOC_TRIM_THRESHOLD_: '0' }, {}],
    ['the other way to tell it is used', { GLIBC_TUNABLES: 'glibc.malloc.arena_max=1' }, {}],
    ['it was begun with it', allocator, {}],
  ])('adds all or nothing, where %s', (_name, environment, added) => {
    expect(allocatorToAdd(allocator, environment)).toEqual(added);
  });
});
