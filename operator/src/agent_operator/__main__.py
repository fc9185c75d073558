"""``python -m agent_operator``: run the operator; ``crd`` and ``uninstall`` serve the chart."""

from agent_operator.cli.main import main

if __name__ == "__main__":
    main()
