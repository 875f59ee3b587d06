import { randomBytes } from 'node:crypto';
import { isStoreFailure } from '../../../../src/core/runtime/store-failure.ts';
import type { StoreFailure } from '../../../../src/core/runtime/store-failure.ts';
import type { ClockSources } from '../../../../src/core/state/clock-floor.ts';
import { AuthorityThread } from '../../../../src/authority/state/sqlite/authority-thread.ts';
import { directAuthority } from '../../../builders/direct-authority.ts';
import type { StateReader } from '../../../../src/authority/state/sqlite/state-reader.ts';
import type { ReportedUses } from '../../../../src/core/state/reported-uses.ts';
import type { StateAccess } from '../../../../src/authority/state/sqlite/state-access.ts';
import { openStore } from '../../../../src/authority/state/sqlite/open-store.ts';
import type { TaskKey } from '../../../../src/core/state/store.ts';
import type { TaskLoan } from '../../../../src/core/state/task-loan.ts';
import type { UseState } from '../../../../src/core/state/store-reader.ts';
import { must } from '../../../builders/must.ts';
import { mustOpenState } from '../../../postgres/opening.ts';

/** An open state of any implementation. */
export interface OpenedState extends Omit<StateAccess, 'states'> {
  /** `null` where the implementation serves no checks. */
  readonly states: StateAccess['states'] | null;
  /** The state of a use now: by `states` where there are any. */
  readonly look: (key: TaskKey, jtiDigest: string) => Promise<UseState | undefined | StoreFailure>;
  readonly reportedUses: (jtiDigest: string) => Promise<readonly ReportedUses[] | StoreFailure | undefined>;
  readonly loansOf: (key: TaskKey) => Promise<readonly TaskLoan[] | StoreFailure>;
  readonly close: () => Promise<void>;
}

/** Opens a state to serve with it: a state file, or the URL of a database. */
export type OpenState = (place: string, clock: ClockSources) => Promise<OpenedState>;

const broken = (failure: { readonly detail: string }): never => {
  throw new Error(failure.detail);
};

const ofFile = (
  access: StateAccess,
  reader: Pick<StateReader, 'reportedUses' | 'loansOf'>,
  close: () => Promise<void>,
): OpenedState => ({
  ...access,
  reportedUses: async (digest) => reader.reportedUses(digest),
  loansOf: async (key) => reader.loansOf(key),
  look: async (key, jtiDigest) => access.states.of(key, jtiDigest),
  close,
});

/** The implementations on a state file. */
export const fileImplementations = {
  direct: async (file: string, clock: ClockSources): Promise<OpenedState> => {
    const store = must(openStore(file, { ...clock, randomBytes }));
    return ofFile(directAuthority(store), store, async () => store.close());
  },
  thread: async (file: string, clock: ClockSources): Promise<OpenedState> => {
    const thread = must(await AuthorityThread.open(file, { ...clock, onFatal: broken }));
    const { states, settling, authority, feed, reader } = thread;
    return ofFile({ states, settling, authority, feed }, reader, () => thread.close());
  },
} as const satisfies Readonly<Record<string, OpenState>>;

/** All implementations by name. Add a new one here, and to `each-implementation.ts`, and it runs the whole contract. */
export const implementations: Readonly<Record<string, OpenState>> = {
  ...fileImplementations,
  postgres: async (url, clocks) => {
    const state = await mustOpenState(url, { clocks, address: 'localhost:9474' });
    const { authority, close, feed, reader, settling } = state;
    const loansOf: OpenedState['loansOf'] = (key) => reader.loansOf(key);
    const look: OpenedState['look'] = (key, jtiDigest) => authority.useStateOf(key.issuer, key.id, jtiDigest);
    const reportedUses: OpenedState['reportedUses'] = async (digest) => {
      const found = await feed.reportedUses([digest]);
      return isStoreFailure(found) ? found : found[0];
    };
    return { authority, settling, feed, states: null, look, reportedUses, loansOf, close };
  },
};
