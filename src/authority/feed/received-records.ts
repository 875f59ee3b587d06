import type { Receiver } from '../records/receiver.ts';

/** What receives the logs of sidecars. */
export interface ReceivedRecords {
  readonly receiver: Pick<Receiver, 'connect' | 'ownerOf'>;
  /** The trust domain that each log must name. */
  readonly trustDomain: string;
}
