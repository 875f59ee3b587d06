import { closedAfterEach } from '../builders/with-closers.ts';
import type { Running } from './process.ts';

/** Gives a function that has a process killed after the test which started it. */
export function killedAfterEach(): (running: Running) => Running {
  const closers = closedAfterEach();
  return (running) => {
    closers.push(async () => {
      running.child.kill('SIGKILL');
      await running.exit;
    });
    return running;
  };
}
