const SHARED = 'must not have `shareProcessNamespace` or `hostPID`';

/** Commands of `kubectl debug` for a pod `POD` with Remit, and the words by which the guard refuses each; `null` if it takes it. */
export const DEBUG_COMMANDS: readonly (readonly [words: string, refused: string | null])[] = [
  ['POD', null],
  ['POD --target=tools', null],
  ['POD --target=remit', 'nor share the processes of `remit`'],
  ['POD --copy-to=copy', SHARED],
  ['POD --copy-to=copy --share-processes=false', null],
  ['node/node-1', SHARED],
];

/** What the page says of them. */
export const DEBUG_WORDS: readonly string[] = [
  '`kubectl debug POD --copy-to=…` | refuses',
  '--share-processes=false',
  '--target=remit',
  'node/…` | refuses',
];
