import { Call } from './call.ts';
import type { DatabaseNode } from './database-node.ts';
import type { Network } from './network.ts';
import type { Party } from './party.ts';

/** A client gives up after this long. What it asked may still be done. */
const PATIENCE_MS = 300;

/** What a client waits for from a node. */
export class Query<T> extends Call<T> {
  readonly node: DatabaseNode;
  readonly #client: Party;
  readonly #network: Network;

  constructor(
    client: Party,
    node: DatabaseNode,
    { network, lost, onAnswer }: { readonly network: Network; readonly lost: T; readonly onAnswer: (got: T) => void },
  ) {
    super(client, { patienceMs: PATIENCE_MS, lost, onAnswer });
    this.node = node;
    this.#client = client;
    this.#network = network;
  }

  /** Sends the answer to the client. */
  answer(got: T): void {
    this.#network.send(this.node.place, this.#client, () => this.tell(got));
  }
}
