import { lockState } from '../../src/state/sqlite/state-lock.ts';
import { isStoreFailure } from '../../src/sqlite/store-failure.ts';

// A process that takes a place among those that serve with a state file, and keeps it until it is killed.

const [file = '', access] = process.argv.slice(2);
const take = (): string => {
  const lock = lockState(file, access === 'shared' ? 'shared' : 'exclusive');
  return isStoreFailure(lock) ? lock.detail : 'taken';
};
const said = take();
// Nobody has the lock in hand any more, and it is held all the same.
for (let n = 0; n < 3; n += 1) {
  globalThis.gc?.();
  await new Promise((resolve) => setImmediate(resolve));
}
process.stdout.write(`${said}\n`);
setInterval(() => undefined, 1_000);
