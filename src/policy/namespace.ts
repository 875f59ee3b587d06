/** Cedar's namespace of everything Remit hands to a policy. */
export const NAMESPACE = 'Remit';
