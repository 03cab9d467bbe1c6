/**
 * No version of a chroot goes while a job uses it, and no lock says so. A job first names the
 * version in its record and then looks whether that is the current one still; whoever removes
 * versions reads the records after `current` has been switched, and leaves what is current or named.
 * So one of the two sees the other: hazard pointers (Michael, "Hazard Pointers: Safe Memory
 * Reclamation for Lock-Free Objects", 2004).
 */

/**
 * Holds what is current by the time it is held, as often as that takes.
 * @param current the same object while it is current still, else what is current now.
 * @throws what `hold` throws, if it does for what is current.
 */
export async function holdCurrent<Base, Held>(
  first: Base,
  hold: (base: Base) => Promise<Held>,
  current: (base: Base) => Promise<Base>,
): Promise<Held> {
  for (let base = first; ;) {
    const held = hold(base);
    // What could not be held may have been on its way out.
    const look = (): Promise<Base> => current(base);
    const now = await held.then(look, look);
    if (now === base) return held;
    base = now;
  }
}
