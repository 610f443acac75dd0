"""Exact numbers for four-rooms from its transition matrix: what no agent can exceed, and what a given policy earns.

Returns are undiscounted sums of reward over an episode with the time limit, averaged over the start (and, if it is
random, the goal). The optimum is over *all* policies, those that know the time left included, so it bounds what any
agent can reach in expectation; a mean over a few evaluation episodes can lie above it by chance.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from experiments.rl.four_rooms import FREE, GOAL_REWARD, NEXT, Rooms

N, ACTIONS = NEXT.shape


def transitions(slip: float) -> NDArray:
    """P[state, action, next state]."""
    p = np.zeros((N, ACTIONS, N))
    for action in range(ACTIONS):
        for direction in range(ACTIONS):
            weight = 1 - slip if direction == action else slip / (ACTIONS - 1)
            for state in range(N):
                p[state, action, NEXT[state, direction]] += weight
    return p


def backup(p: NDArray, values: NDArray, goal: int, step_cost: float, discount: float = 1.0) -> NDArray:
    """Q[state, action]: reward of one step plus the discounted `values` after it; nothing follows the goal."""
    outcome = discount * values - step_cost
    outcome[goal] = GOAL_REWARD
    return p @ outcome


def optimal_return(rooms: Rooms, horizon: int) -> float:
    """The largest expected return within `horizon` steps, by backward induction."""
    return _mean_return(rooms, horizon, lambda q, goal: q.max(1))


def policy_return(rooms: Rooms, horizon: int, act: Callable[[NDArray], NDArray]) -> float:
    """The expected return of the deterministic policy `act`: observations (n, features) -> actions (n,)."""
    actions = {goal: act(rooms.observe(np.arange(N), np.full(N, goal))) for goal in _goals(rooms)}
    return _mean_return(rooms, horizon, lambda q, goal: q[np.arange(N), actions[goal]])


def optimal_values(rooms: Rooms, goal: int, discount: float, tolerance: float = 1e-10) -> NDArray:
    """Q*[state, action] of the discounted task without time limit, by value iteration to within `tolerance`."""
    p, q = transitions(rooms.slip), np.zeros((N, ACTIONS))
    while True:
        new = backup(p, q.max(1), goal, rooms.step_cost, discount)
        if np.abs(new - q).max() <= tolerance * (1 - discount):
            return new
        q = new


def _goals(rooms: Rooms) -> range:
    return range(len(FREE)) if rooms.fixed_goal is None else range(rooms.fixed_goal, rooms.fixed_goal + 1)


def _mean_return(rooms: Rooms, horizon: int, choose: Callable[[NDArray, int], NDArray]) -> float:
    p, means = transitions(rooms.slip), []
    for goal in _goals(rooms):
        values = np.zeros(N)
        for _ in range(horizon):
            values = choose(backup(p, values, goal, rooms.step_cost), goal)
        means.append(np.delete(values, goal).mean())
    return float(np.mean(means))
