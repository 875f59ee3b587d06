import { lockState } from '../../../src/authority/state/sqlite/state-lock.ts';
import { isStoreFailure } from '../../../src/core/runtime/store-failure.ts';

// A process that takes the lock of processes that serve with a state file, and keeps it until it is killed.

const [file = ''] = process.argv.slice(2);
const take = (): string => {
  const lock = lockState(file);
  return isStoreFailure(lock) ? lock.detail : 'taken';
};
const said = take();
// The lock object is unreachable now, but the lock must still be held.
for (let n = 0; n < 3; n += 1) {
  globalThis.gc?.();
  await new Promise((resolve) => setImmediate(resolve));
}
process.stdout.write(`${said}\n`);
setInterval(() => undefined, 1_000);
