import type { DenialStyle } from '../../core/action/denial-style.ts';
import type { TaskCredential } from '../task/issuer-client.ts';
import type { ListedTools } from '../task/listed-tools.ts';
import type { ProofKey } from '../task/proof-key.ts';
import type { IssuerProblem } from '../task/issuer-problem.ts';
import type { TaskMark } from './task-mark.ts';
import type { ForwardTarget } from './forward-target.ts';
import type { LocalUrls } from './local/local-urls.ts';
import type { UpstreamBounds, UpstreamConnections } from './upstream/upstream-connections.ts';

/** One upstream of a run, as the handlers of requests see it. */
export interface Forwarded {
  readonly target: ForwardTarget;
  readonly connections: UpstreamConnections;
  readonly bounds: UpstreamBounds;
  /** All local URLs of the run, which must not reach an upstream. */
  readonly localUrls: Pick<LocalUrls, 'hidden' | 'hiddenTarget'>;
  /** The key that signs each call; `null` if the tokens are bound to the certificate. */
  readonly proofKey: Pick<ProofKey, 'proofFor'> | null;
  /** Ties cookies and sessions of the upstream to the task, if its clients may serve other tasks too; absent in a run, which has one task. */
  readonly mark?: TaskMark;
  /** The current token for the upstream. */
  readonly current: () => Promise<TaskCredential | IssuerProblem>;
  /** A token other than `refused`, which the upstream has refused; the same token if no other is available now. */
  readonly another: (refused: TaskCredential) => Promise<TaskCredential | IssuerProblem>;
  /** The tools that lists of the upstream may show; `null`, or absent: nothing is hidden. */
  readonly listed?: () => Promise<ListedTools | null>;
  /** How the upstream answers denied calls; `null`, or absent: not known yet. */
  readonly denials?: () => DenialStyle | null;
  /** Called for each request that came with an `Authorization` of its own. */
  readonly onOwnAuthorization: () => void;
}
