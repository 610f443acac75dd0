"""The environment and its exact numbers."""

from itertools import product

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from experiments.rl import planning
from experiments.rl.environments import evaluate
from experiments.rl.four_rooms import FREE, LAYOUT, MOVES, NEXT, STATE, Rooms

ID = "experiments.rl.four_rooms:FourRooms-v0"
SETTINGS = [
    {"observation": observation, "goal": goal}
    for observation, goal in product(("one_hot", "coordinates"), ((7, 9), None))
]


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.filterwarnings("error:.*:UserWarning")
def test_gymnasiums_checker_finds_nothing(settings):
    for render_mode in (None, "ansi", "rgb_array"):
        check_env(gymnasium.make(ID, render_mode=render_mode, **settings).unwrapped, skip_render_check=False)


def test_the_grid_is_the_papers():
    assert len(FREE) == 104
    assert {len(line) for line in LAYOUT} == {len(LAYOUT)} == {13}
    hallways = {(3, 6), (6, 2), (7, 9), (10, 6)}
    assert hallways <= set(FREE)
    # without its hallways the grid falls into four rooms: 25, 30, 20 and 25 cells
    unseen, sizes = set(FREE) - hallways, []
    while unseen:
        stack, size = [unseen.pop()], 0
        while stack:
            row, column = stack.pop()
            size += 1
            for dr, dc in MOVES.values():
                if (row + dr, column + dc) in unseen:
                    unseen.remove((row + dr, column + dc))
                    stack.append((row + dr, column + dc))
        sizes.append(size)
    assert sorted(sizes) == [20, 25, 25, 30]


@pytest.mark.parametrize("form", ["single", "vector"])
def test_a_move_goes_where_the_transition_matrix_says(form):
    """Frequencies of where one action leads from one cell, slip 1/3, within 4.5 standard errors."""
    n, state, action = 20_000, STATE[1, 1], 1
    expected = planning.transitions(1 / 3)[state, action]
    if form == "single":
        env = gymnasium.make(ID, max_episode_steps=n + 1).unwrapped
        env.reset(seed=0)
        landed = np.empty(n, int)
        for i in range(n):
            env.state = state
            env.step(action)
            landed[i] = env.state
    else:
        envs = gymnasium.make_vec(ID, n)
        envs.reset(seed=0)
        envs.state[:] = state
        envs.step(np.full(n, action))
        landed = envs.state
    frequencies = np.bincount(landed, minlength=len(FREE)) / n
    assert np.all(np.abs(frequencies - expected) <= 4.5 * np.sqrt(expected * (1 - expected) / n))
    assert expected[STATE[1, 2]] == pytest.approx(2 / 3)
    assert expected[state] == pytest.approx(2 / 9), "up and left are walls there"


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_one_and_many_agree_without_slip(settings):
    env, envs = gymnasium.make(ID, slip=0.0, **settings), gymnasium.make_vec(ID, 3, slip=0.0, **settings)
    env.reset(seed=1)
    envs.reset(seed=2)
    single = env.unwrapped
    envs.state[:], envs.goal[:] = single.state, single.goal
    random = np.random.default_rng(0)
    for _ in range(100):
        action = int(random.integers(4))
        one, many = env.step(action), envs.step(np.full(3, action))
        for a, b in zip(one[:4], many[:4], strict=True):
            np.testing.assert_array_equal(np.broadcast_to(a, np.shape(b)), b)
        if one[2] or one[3]:
            break
    assert one[2] or one[3], "an episode ends within its time limit"


def test_episodes_end_at_the_goal_or_after_100_steps_and_then_start_anew():
    envs = gymnasium.make_vec(ID, 50)
    envs.reset(seed=0)
    starts, lengths, ended = set(), np.zeros(50, int), np.zeros(50, bool)
    for _ in range(400):
        observations, rewards, terminated, truncated, _ = envs.step(envs.action_space.sample())
        assert (envs.state[ended] != STATE[7, 9]).all(), "a fresh start is not the goal"
        assert (rewards[ended] == 0).all()
        starts.update(envs.state[ended])
        lengths = np.where(ended, 0, lengths + 1)
        np.testing.assert_array_equal(rewards[~ended], np.where(terminated, 1.0, -0.01)[~ended])
        np.testing.assert_array_equal(terminated, (envs.state == STATE[7, 9]) & ~ended)
        np.testing.assert_array_equal(truncated, (lengths == 100) & ~terminated)
        np.testing.assert_array_equal(observations.argmax(1), envs.state)
        ended = terminated | truncated
    assert len(starts) > 60, "starts are spread over the grid"


def test_drawings_show_agent_and_goal():
    text, image = (gymnasium.make(ID, render_mode=mode) for mode in ("ansi", "rgb_array"))
    text.reset(seed=0)
    image.reset(seed=0)
    lines = text.render().split("\n")
    assert lines[7][9] == "G"
    (row, column) = FREE[text.unwrapped.state]
    assert lines[row][column] == "A"
    picture = image.render()
    assert picture.shape == (208, 208, 3)
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) == 4


@pytest.mark.parametrize(
    ("settings", "words"),
    [({"goal": (0, 0)}, "goal"), ({"slip": 1.5}, "slip=1.5"), ({"observation": "pixels"}, "observation='pixels'")],
)
def test_what_is_not_possible_is_refused(settings, words):
    with pytest.raises(ValueError, match=words):
        Rooms(**settings)


def greedy(q):
    return lambda observations: q[observations.argmax(1)].argmax(1)


def test_the_optimum_bounds_every_policy_and_the_best_comes_close():
    rooms = Rooms()
    optimum = planning.optimal_return(rooms, 100)
    best = planning.optimal_values(rooms, rooms.fixed_goal, 0.99)
    value = planning.policy_return(rooms, 100, greedy(best))
    assert optimum - 0.005 < value <= optimum
    random = np.random.default_rng(0)
    for _ in range(20):
        noisy = best + random.normal(0, random.choice([0.001, 0.01, 0.1]), best.shape)
        assert planning.policy_return(rooms, 100, greedy(noisy)) <= optimum


def test_exact_returns_are_what_episodes_give():
    rooms = Rooms()
    act = greedy(planning.optimal_values(rooms, rooms.fixed_goal, 0.99))
    exact = planning.policy_return(rooms, 100, act)
    measured, _ = evaluate(gymnasium.make_vec(ID, 4000), act, seed=0)
    assert measured == pytest.approx(exact, abs=4 * 0.08 / 4000**0.5)  # returns spread by 0.08


def test_without_slip_the_optimum_is_the_shortest_path():
    rooms = Rooms(slip=0.0)
    distance = {rooms.fixed_goal: 0}
    frontier = [rooms.fixed_goal]
    for state in frontier:  # moves can be undone, so distances from the goal are distances to it
        for neighbour in NEXT[state].tolist():
            if neighbour not in distance:
                distance[neighbour] = distance[state] + 1
                frontier.append(neighbour)
    returns = [1 - 0.01 * (steps - 1) for steps in distance.values() if steps]
    assert planning.optimal_return(rooms, 100) == pytest.approx(np.mean(returns))
    values = planning.optimal_values(rooms, rooms.fixed_goal, 0.9).max(1)
    for state, steps in distance.items():
        if steps:
            discounted = 0.9 ** (steps - 1) - 0.01 * (1 - 0.9 ** (steps - 1)) / 0.1
            assert values[state] == pytest.approx(discounted)


def test_a_random_goal_is_seen_and_bounded_too():
    rooms = Rooms(goal=None, slip=0.0)
    observations = rooms.observe(np.arange(104), np.full(104, 7))
    assert observations.shape == (104, 208)
    assert (observations[:, 104:].argmax(1) == 7).all()
    assert planning.policy_return(rooms, 20, lambda x: np.zeros(len(x), int)) < planning.optimal_return(rooms, 20) < 1
