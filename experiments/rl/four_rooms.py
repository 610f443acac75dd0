"""The four-rooms grid of Sutton, Precup and Singh (Between MDPs and semi-MDPs, 1999): 13 x 13, 104 free cells, four
hallways. An action moves the agent as intended with probability 1 - slip, else in one of the three other directions;
a wall leaves it where it is. Reward, goal, discount and time limit are this project's own.

Importing this module registers `FourRooms-v0` with Gymnasium, as one environment and as a vectorised one.
"""

from typing import Any, Literal

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

LAYOUT = (
    "wwwwwwwwwwwww",
    "w     w     w",
    "w     w     w",
    "w           w",
    "w     w     w",
    "w     w     w",
    "ww wwww     w",
    "w     www www",
    "w     w     w",
    "w     w     w",
    "w           w",
    "w     w     w",
    "wwwwwwwwwwwww",
)
MOVES = {"up": (-1, 0), "right": (0, 1), "down": (1, 0), "left": (0, -1)}  # action 0..3: (row, column)

FREE = [(row, column) for row, line in enumerate(LAYOUT) for column, cell in enumerate(line) if cell == " "]
STATE = {cell: state for state, cell in enumerate(FREE)}  # a state is the number of a free cell, in reading order
# NEXT[state, direction]: where a move in that direction leads.
NEXT = np.array([[STATE.get((r + dr, c + dc), STATE[r, c]) for dr, dc in MOVES.values()] for r, c in FREE])
GOAL_REWARD = 1.0

Observation = Literal["one_hot", "coordinates"]


class Rooms:
    """What the single and the vectorised environment share: settings, observations, rewards.

    Args:
        observation: `one_hot`: the agent's cell among the 104, uint8; `coordinates`: its row and column over 12,
            float32. With a random goal the goal's own follow the agent's.
        goal: (row, column) of the goal, or None for another one each episode.
        slip: probability that one of the three other directions is taken, each as likely.
        step_cost: reward of a step that does not end at the goal is minus this; the goal gives 1 and ends the episode.

    Raises:
        ValueError: for a goal that is a wall, a slip that is no probability, an unknown observation.
    """

    def __init__(
        self,
        observation: Observation = "one_hot",
        goal: tuple[int, int] | None = (7, 9),
        slip: float = 1 / 3,
        step_cost: float = 0.01,
    ) -> None:
        if observation not in ("one_hot", "coordinates"):
            raise ValueError(f"observation={observation!r} is not possible: choose one of one_hot, coordinates")
        if goal is not None and tuple(goal) not in STATE:
            raise ValueError(f"goal={goal!r} is not possible: a free cell (row, column), or null for a random one")
        if not 0 <= slip <= 1:
            raise ValueError(f"slip={slip!r} is not possible: a probability in [0, 1]")
        self.fixed_goal = None if goal is None else STATE[goal[0], goal[1]]
        self.slip, self.step_cost = slip, step_cost
        parts = 1 if goal is not None else 2
        if observation == "one_hot":
            self.table: NDArray = np.eye(len(FREE), dtype=np.uint8)
            self.space: spaces.Box = spaces.Box(0, 1, (parts * len(FREE),), np.uint8)
        else:
            self.table = np.array(FREE, np.float32) / (len(LAYOUT) - 1)
            self.space = spaces.Box(0, 1, (parts * 2,), np.float32)

    def observe(self, state: Any, goal: Any) -> NDArray:
        """Observations, shape (..., features), of agents at `state` whose goal is `goal`."""
        if self.fixed_goal is not None:
            return self.table[state]
        return np.concatenate([self.table[state], self.table[goal]], axis=-1)

    def draw_goal(self, random: np.random.Generator, size: int | None = None) -> Any:
        if self.fixed_goal is None:
            return random.integers(len(FREE), size=size)
        return self.fixed_goal if size is None else np.full(size, self.fixed_goal)

    @staticmethod
    def draw_start(random: np.random.Generator, goal: Any, size: int | None = None) -> Any:
        """Uniform over the free cells that are not the goal."""
        start = random.integers(len(FREE) - 1, size=size)
        return start + (start >= goal)


class FourRooms(gymnasium.Env):
    """One agent; see `Rooms` for the arguments. The registered time limit truncates an episode after 100 steps."""

    metadata = {"render_modes": ["ansi", "rgb_array"], "render_fps": 8}  # noqa: RUF012 - Gymnasium's own form

    def __init__(self, render_mode: str | None = None, **rooms: Any) -> None:
        self.rooms = Rooms(**rooms)
        self.render_mode = render_mode
        self.observation_space = self.rooms.space
        self.action_space = spaces.Discrete(len(MOVES))
        self._next = NEXT.tolist()  # plain lists are the fastest to look one number up in

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[NDArray, dict]:
        super().reset(seed=seed)
        self.goal = int(self.rooms.draw_goal(self.np_random))
        self.state = int(self.rooms.draw_start(self.np_random, self.goal))
        return self.rooms.observe(self.state, self.goal).copy(), {}

    def step(self, action: Any) -> tuple[NDArray, float, bool, bool, dict]:
        # one draw for both questions: does it slip, and where to
        u = self.np_random.random()
        slip = self.rooms.slip
        turn = 1 + int(3 * u / slip) if u < slip else 0
        self.state = self._next[self.state][(int(action) + turn) % 4]
        arrived = self.state == self.goal
        reward = GOAL_REWARD if arrived else -self.rooms.step_cost
        return self.rooms.observe(self.state, self.goal).copy(), reward, arrived, False, {}

    def render(self) -> Any:
        if self.render_mode == "ansi":
            grid = [list(line) for line in LAYOUT]
            for state, sign in ((self.goal, "G"), (self.state, "A")):
                row, column = FREE[state]
                grid[row][column] = sign
            return "\n".join(map("".join, grid))
        if self.render_mode == "rgb_array":
            cells = np.array([[(60, 60, 60) if cell == "w" else (255, 255, 255) for cell in line] for line in LAYOUT])
            cells[FREE[self.goal]] = (0, 158, 115)
            cells[FREE[self.state]] = (213, 94, 0)
            return cells.astype(np.uint8).repeat(16, 0).repeat(16, 1)
        return None


class FourRoomsVector(VectorEnv):
    """`num_envs` agents moved by array operations; an episode that ended starts anew at the next step."""

    metadata = {"autoreset_mode": AutoresetMode.NEXT_STEP}  # noqa: RUF012 - Gymnasium's own form

    def __init__(self, num_envs: int, max_episode_steps: int, render_mode: None = None, **rooms: Any) -> None:
        self.rooms = Rooms(**rooms)
        self.num_envs, self.max_episode_steps = num_envs, max_episode_steps
        self.single_observation_space = self.rooms.space
        self.single_action_space = spaces.Discrete(len(MOVES))
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)

    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None) -> tuple[NDArray, dict]:
        super().reset(seed=seed)
        self.goal = self.rooms.draw_goal(self.np_random, self.num_envs)
        self.state = self.rooms.draw_start(self.np_random, self.goal, self.num_envs)
        self.elapsed = np.zeros(self.num_envs, np.int64)
        self.ended = np.zeros(self.num_envs, bool)
        return self.rooms.observe(self.state, self.goal), {}

    def step(self, actions: NDArray) -> tuple[NDArray, NDArray, NDArray, NDArray, dict]:
        again, slip = self.ended, self.rooms.slip
        u = self.np_random.random(self.num_envs)
        turn = np.where(u < slip, 1 + np.floor(3 * u / max(slip, np.finfo(float).tiny)), 0).astype(np.int64)
        moved = NEXT[self.state, (np.asarray(actions) + turn) % 4]
        if again.any():
            self.goal = np.where(again, self.rooms.draw_goal(self.np_random, self.num_envs), self.goal)
            moved = np.where(again, self.rooms.draw_start(self.np_random, self.goal, self.num_envs), moved)
        self.state = moved
        self.elapsed = np.where(again, 0, self.elapsed + 1)
        terminated = (self.state == self.goal) & ~again
        truncated = (self.elapsed >= self.max_episode_steps) & ~terminated
        rewards = np.where(again, 0.0, np.where(terminated, GOAL_REWARD, -self.rooms.step_cost))
        self.ended = terminated | truncated
        return self.rooms.observe(self.state, self.goal), rewards, terminated, truncated, {}


gymnasium.register(
    "FourRooms-v0",
    entry_point=FourRooms,
    vector_entry_point=FourRoomsVector,  # type: ignore[arg-type]
    max_episode_steps=100,
)
