import type { Forwarded } from '../forward/forwarded.ts';
import type { LocalUrls } from '../forward/local/local-urls.ts';
import { TaskMark } from '../forward/task-mark.ts';
import { defaultUpstreamBounds, UpstreamConnections } from '../forward/upstream/upstream-connections.ts';
import type { TaskCredential } from '../task/issuer-client.ts';
import type { IssuerProblem } from '../task/issuer-problem.ts';
import type { KeptTools } from '../task/kept-tools.ts';
import type { ProofKey } from '../task/proof-key.ts';
import type { TokenKeeper } from '../task/token-keeper.ts';
import { holdsSecret } from './local-secret.ts';
import type { SvidRounds } from './svid-rounds.ts';
import type { UpstreamDoor } from './upstream-door.ts';

/** What the ways of one helper share. */
export interface SharedByWays {
  readonly svid: SvidRounds;
  readonly tools: Pick<KeptTools, 'of' | 'denialsOf'>;
  readonly proofKey: ProofKey | null;
}

/** The task that a way leads to. */
export interface WayParts {
  readonly taskId: string;
  /** The same for tasks that may use the same tools. */
  readonly grant: string;
  readonly keeper: TokenKeeper;
  readonly turn: ReturnType<SvidRounds['turn']>;
  /** All local URLs of its unit. */
  readonly localUrls: LocalUrls;
  readonly shared: SharedByWays;
  /** `over`: what calls are answered once the unit is over; `null` before. */
  readonly unit: { readonly over: IssuerProblem | null };
}

/**
 * A local URL of a unit, for one upstream. What a call needs, its connections above all, is made for the first call and kept until the unit rests:
 * thousands of tasks wait for a model or a person.
 *
 * Lifecycle: from the constructor; `rest` also ends it.
 */
export class UnitWay {
  readonly door: UpstreamDoor;
  readonly secret: string;
  readonly #parts: WayParts;
  #open: { readonly forwarded: Forwarded; readonly close: () => void } | null = null;

  constructor(door: UpstreamDoor, secret: string, parts: WayParts) {
    this.door = door;
    this.secret = secret;
    this.#parts = parts;
    parts.localUrls.add({ port: door.port, secret, target: door.target });
  }

  /** What a call is forwarded to. */
  get forwarded(): Forwarded {
    return (this.#open ??= opened(this, this.#parts)).forwarded;
  }

  /** Closes its connections, and those of calls under way. */
  rest(): void {
    this.#open?.close();
    this.#open = null;
  }
}

function opened(
  { door, secret }: UnitWay,
  parts: WayParts,
): { readonly forwarded: Forwarded; readonly close: () => void } {
  const { grant, keeper, localUrls, shared, taskId, turn, unit } = parts;
  const { proofKey, svid, tools } = shared;
  const { authorities, onOwnAuthorization, target } = door;
  const renewals = svid.renewals();
  const connections = new UpstreamConnections(target, { svid: renewals, bounds: defaultUpstreamBounds, authorities });
  /** INVARIANT: a call that is sent again, or that waited for its token, gets none after the end, although that token may still be good. */
  const unlessOver = async (
    given: Promise<TaskCredential | IssuerProblem>,
  ): Promise<TaskCredential | IssuerProblem> => {
    const credential = await given;
    return unit.over ?? credential;
  };
  const forwarded: Forwarded = {
    target,
    connections,
    bounds: defaultUpstreamBounds,
    localUrls: {
      hidden: (value) => withoutSecrets(localUrls.hidden(value)),
      hiddenTarget: (value) => withoutSecrets(localUrls.hiddenTarget(value)),
    },
    proofKey,
    mark: new TaskMark(secret),
    current: async () => {
      // Without a connection of the certificate before, only the new certificate can be used.
      if (!connections.holds(turn.boundTo)) turn.hasten();
      return unlessOver(keeper.current());
    },
    another: (refused) => unlessOver(keeper.another(refused)),
    listed: () => tools.of(taskId, { resource: target.resource, grant }),
    denials: () => tools.denialsOf(target.resource),
    onOwnAuthorization,
  };
  return {
    forwarded,
    close: () => {
      connections.close();
      renewals.stop();
    },
  };
}

/** INVARIANT: no secret of any task goes upstream in a header or a path, also if a client confuses two tasks. */
const withoutSecrets = (text: string | null): string | null => (text === null || holdsSecret(text) ? null : text);
