/** Cedar's namespace for everything Remit passes to a policy. */
export const NAMESPACE = 'Remit';
