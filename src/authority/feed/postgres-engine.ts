import type { HeldTask } from '../../core/fleet/card.ts';
import { isStoreFailure } from '../../core/runtime/store-failure.ts';
import type { TaskCard } from '../state/postgres/rows/cards.ts';
import type { PostgresState } from '../state/postgres/postgres-state.ts';
import type { AuthorityEngine } from './engine.ts';

/** A PostgreSQL as the database of an authority, or of several. */
export function postgresEngine({
  authority,
  feed,
  orders,
  settling,
}: Pick<PostgresState, 'authority' | 'feed' | 'orders' | 'settling'>): AuthorityEngine {
  return {
    epoch: async () => {
      const head = await feed.syncedHead();
      return isStoreFailure(head) ? head : head.epoch;
    },
    head: async () => {
      const head = await feed.syncedHead();
      return isStoreFailure(head) ? head : head.seq;
    },
    cards: async (wanted) => {
      const found = await feed.cards(wanted);
      return isStoreFailure(found) ? found : { cards: found.cards.map(heldFrom), seq: found.head.seq };
    },
    reportedUses: (jtiDigests) => feed.reportedUses(jtiDigests),
    orders: () => orders.atHead(),
    feedAfter: (position) => feed.markedAfter(position),
    proofs: feed,
    lost: () => feed.lost?.detail ?? null,
    beat: async () => {
      const head = await feed.beat();
      return isStoreFailure(head) ? head : head.seq;
    },
    settling,
    keepRecord: (decisionId, record) => authority.keepRecord(decisionId, record),
    replicas: feed,
  };
}

const heldFrom = (card: TaskCard | null): HeldTask | null =>
  card === null
    ? null
    : { ...card, tokens: new Map(card.tokens.map((token) => [token.jtiDigest, { ...token, elsewhere: null }])) };
