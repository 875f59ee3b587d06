import type { Fragment } from './fragment.ts';
import type { HelperFragment } from './helper-fragment.ts';

/** What injection may add to a pod. */
export interface Fragments {
  /** Remit, for the Envoy of the pod. */
  readonly sidecar: Fragment;
  /** The helper of a service, for pods that ask for it. */
  readonly helper: HelperFragment;
}
