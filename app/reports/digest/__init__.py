"""The figures of campaigns by e-mail to members of staff, daily or weekly."""
