"""The pages behind the login, a file each: `draw` shows it to a person.

Not `pages/`: Streamlit serves the scripts of a folder of that name by themselves, past `app.py` and its login.
"""
