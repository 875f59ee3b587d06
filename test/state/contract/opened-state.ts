import { randomBytes } from 'node:crypto';
import type { ClockSources } from '../../../src/state/clock-floor.ts';
import { AuthorityThread } from '../../../src/state/sqlite/authority-thread.ts';
import { directAuthority } from '../../../src/state/sqlite/direct-authority.ts';
import type { StateAccess } from '../../../src/state/sqlite/direct-authority.ts';
import { openStore } from '../../../src/state/sqlite/open-store.ts';
import { must } from '../../builders/must.ts';

/** An open state of any implementation. */
export interface OpenedState extends StateAccess {
  readonly close: () => Promise<void>;
}

/** Opens a state file to serve with it. */
export type OpenState = (file: string, clock: ClockSources) => Promise<OpenedState>;

const broken = (failure: { readonly detail: string }): never => {
  throw new Error(failure.detail);
};

/** All implementations by name. Add a new one here, and it runs the whole contract. */
export const implementations: Readonly<Record<string, OpenState>> = {
  direct: async (file, clock) => {
    const store = must(openStore(file, { ...clock, randomBytes }));
    return { ...directAuthority(store), close: async () => store.close() };
  },
  thread: async (file, clock) => {
    const thread = must(await AuthorityThread.open(file, { ...clock, onFatal: broken }));
    const { states, settling, authority, feed } = thread;
    return { states, settling, authority, feed, close: () => thread.close() };
  },
};
